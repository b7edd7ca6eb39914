"""Joules for a token: from the readings in a record to the summary, the report, and a note where two ways differ."""

from typing import Any

import pytest
from limit_samples import hardware_record

from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain
from tokenforge.report.view import run_rows


def card(*, counter_j: float | None, integral_j: float = 1000.0, memory_peak_bytes: int = 20_000_000_000) -> Any:
    return {
        "index": 0, "name": "NVIDIA H200", "samples": 200, "sampled_s": 10.0, "counter_j": counter_j,
        "integral_j": integral_j, "memory_peak_bytes": memory_peak_bytes, "utilisation": 0.9,
    }  # fmt: skip


def read(*cards: Any, trials: int = 3) -> tuple[RunSummary, float]:
    """The summary of a run whose every trial had these cards, and the output tokens of a trial on average."""
    document, requests = hardware_record(trials=trials)
    for trial in document["runs"][0]["trials"]:
        trial["gpus"] = list(cards)
    run = summarise(document, requests).runs[0]
    tokens = sum(sum(batch["output_tokens"].to_pylist()) for n in range(trials) for batch in _batches(requests, run, n))
    return run, tokens / trials


def _batches(requests: Any, run: RunSummary, trial: int) -> Any:
    return requests.batches(run.run_id, trial, ["output_tokens"])


def test_a_run_tells_joules_per_token_from_the_counter() -> None:
    run, tokens = read(card(counter_j=1010.0))
    assert run.energy is not None
    assert run.energy.by == "counter"
    assert run.energy.joules_per_token.value == pytest.approx(1010.0 / tokens, rel=1e-3)
    assert run.energy.joules_per_token.low is not None
    assert run.energy.watts.value == pytest.approx(101.0)
    assert run.energy.counter_over_integral == pytest.approx(1.01)


def test_without_a_counter_power_is_summed_up() -> None:
    run, tokens = read(card(counter_j=None))
    assert run.energy is not None
    assert (run.energy.by, run.energy.counter_over_integral) == ("power", None)
    assert run.energy.joules_per_token.value == pytest.approx(1000.0 / tokens, rel=1e-3)


def test_several_cards_are_paid_for_together() -> None:
    run, tokens = read(card(counter_j=1000.0), card(counter_j=500.0, memory_peak_bytes=30_000_000_000))
    assert run.energy is not None
    assert run.energy.gpus == 2
    assert run.energy.joules_per_token.value == pytest.approx(1500.0 / tokens, rel=1e-3)
    assert run.energy.memory_peak_bytes == 30_000_000_000


def test_a_record_without_readings_has_no_energy() -> None:
    run, _ = read()
    assert run.energy is None


@pytest.mark.parametrize(
    ("counter_j", "codes"), [(1040.0, []), (960.0, []), (1060.0, ["energy_apart"]), (900.0, ["energy_apart"])]
)
def test_a_counter_over_5_per_cent_from_the_power_is_noted(counter_j: float, codes: list[str]) -> None:
    run, _ = read(card(counter_j=counter_j))
    assert [reason.code for reason in run.reasons if reason.code == "energy_apart"] == codes


def test_the_report_shows_what_the_gpus_drew_and_held() -> None:
    run, _ = read(card(counter_j=1010.0))
    (row,) = run_rows({"runs": [to_plain(run)]}, {})
    cells = {cell.label: cell for cell in row.cells}
    assert cells["GPU power, W"].value == "101"
    assert cells["GPU busy"].value == "90%"
    assert cells["GPU memory, GB"].value == "20"
    assert cells["J per output token"].note == "counter of the GPU, 1.010 of its power summed up"
