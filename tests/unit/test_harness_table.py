"""The load generator harness: what it prints, keeps and goes on with."""

from pathlib import Path

import pytest
from harness_samples import some_errors, some_trial

from harness.clients.base import Load
from harness.machine import describe_machine, machine
from harness.session import describe
from harness.store import Store
from harness.table import Entry, number, rate_table, summary_table
from harness.trial import Trial


def entry(name: str = "a", *, held: float | None = 400.0, out: str | None = None) -> Entry:
    """A client of the table."""
    return Entry(name=name, version="1.0", bound_ms=5, zero="its own send", held=held, out=out)


def failed_trial(reason: str = "exit code 1") -> Trial:
    """One without figures."""
    return Trial(client="a", load=some_trial().load, failure=reason)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (12345.6, "12,346"), (99.94, "99.9"), (0.0123, "0.0123"), (1e-5, "<0.001")],
)
def test_numbers_have_three_digits_or_whole_thousands(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_row_is_the_median_over_repeats_at_its_rate_alone() -> None:
    trials = [some_trial(errors=some_errors(ttft_p99_ms=p99)) for p99 in (1.0, 9.0, 2.0)]
    table = rate_table([entry()], [*trials, some_trial(rate=50, arrived_rate=7)], rate=100)
    assert table.rows[0][:4] == ("a", "100", "0.5", "0.1 | 2")


def test_a_client_that_could_not_be_installed_is_a_row_with_its_reason() -> None:
    table = rate_table([entry(out="cannot be installed: no wheel")], [], rate=100)
    assert table.rows[0][:3] == ("a", "cannot be installed: no wheel", "-")
    assert len(table.rows[0]) == len(table.header)


def test_the_summary_says_held_throughput_and_start() -> None:
    trials = [some_trial(), some_trial(rate=None, tokens_per_s=97_700.0)]
    row = summary_table([entry()], trials).rows[0]
    assert row == ("a", "1.0", "400", "5", "97,700", "0.02 | 0.03", "1.5", "1", "its own send")


@pytest.mark.parametrize(("held", "text"), [(None, "-"), (0.0, "none"), (75.0, "75")])
def test_no_ladder_is_a_dash_and_nothing_held_is_none(held: float | None, text: str) -> None:
    assert summary_table([entry(held=held)], [some_trial()]).rows[0][2] == text


def test_a_summary_without_any_figures_has_the_reason_in_full_width() -> None:
    table = summary_table([entry(out="failed 2 times: exit code 1")], [failed_trial()])
    assert "failed 2 times: exit code 1" in table.rows[0]
    assert len(table.rows[0]) == len(table.header)


def test_markdown_has_a_column_per_header_whatever_the_cells_hold() -> None:
    lines = rate_table([entry()], [some_trial()], rate=100).markdown().splitlines()[2:]
    assert {line.count("|") for line in lines if line} == {len(rate_table([], [], rate=100).header) + 1}


def test_progress_says_what_came_of_a_trial() -> None:
    assert "100 req/s: 100.0 arrived, TTFT error p99 0.500 ms, 12 s" in describe(some_trial())
    assert "256 streams: 97,700 tokens/s" in describe(some_trial(rate=None, tokens_per_s=97_700.0))
    assert "exit code 1" in describe(failed_trial())


def test_a_store_gives_back_what_was_measured_by_client_and_load(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "trials.jsonl")
    store.add(some_trial(client="a"))
    store.add(some_trial(client="b", seed=2))
    again = Store.open(tmp_path / "trials.jsonl")
    assert again.find("a", some_trial().load) == some_trial(client="a")
    assert again.find("a", Load(requests=1000, tokens=64, seed=2, rate=100.0)) is None


def test_a_trial_that_failed_is_measured_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "trials.jsonl")
    store.add(failed_trial())
    assert Store.open(tmp_path / "trials.jsonl").find("a", some_trial().load) is None


def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    Store.open(path).add(some_trial())
    path.write_text(path.read_text() + '{"client": "b", "lo')
    assert [trial.client for trial in Store.open(path).trials] == ["a"]


def test_the_machine_is_described_with_what_else_it_did() -> None:
    before = machine()
    later = {**before, "stolen_s": float(str(before["stolen_s"])) + 1.5}
    text = describe_machine(before, later)
    assert f"{before['cores']} cores" in text
    assert text.endswith("1.5 s of CPU time were taken by the host meanwhile.")
