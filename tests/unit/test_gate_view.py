"""How a gate's answer reads: the sentence, the table, the Markdown."""

from collections.abc import Sequence

from gate_samples import a_record, gate

from tokenforge.analysis.gate import Gate, GateRules
from tokenforge.report.gate_markdown import render_gate_markdown
from tokenforge.report.gate_view import GATE_COLUMNS, gate_headline, gate_sections

STEADY = [[100.0, 101.0, 99.0, 100.5, 99.5], [100.5, 100.0, 99.5, 101.0, 99.2], [99.4, 101.2, 99.1, 100.1, 100.2]]


def against(last: Sequence[float], **more: str) -> Gate:
    rows = [a_record(row, number=number) for number, row in enumerate(STEADY)]
    return gate([*rows, a_record(last, number=9, **more)])  # type: ignore[arg-type]


def scaled(by: float) -> list[float]:
    return [value * by for value in STEADY[0]]


def test_the_headline_of_a_regression_names_metric_change_and_place() -> None:
    assert gate_headline(against(scaled(0.8))) == "Regressed: output throughput -20.0 % (load on sim)."


def test_the_headline_of_a_pass_says_how_many_metrics_passed() -> None:
    words = gate_headline(against(scaled(1.0)))
    assert words == "Not regressed: all 1 metrics are shown to be within their margin or better."


def test_the_headline_of_an_invalid_run_says_why_nothing_is_said() -> None:
    words = gate_headline(against(scaled(1.0), verdict="INVALID"))
    assert words == "Inconclusive: id-009 is INVALID for load on sim (synthetic:tiny): It was late."


def test_a_row_has_a_cell_for_each_column_and_shows_the_direction_of_the_margin() -> None:
    row = gate_sections(against(scaled(0.8)))[0].rows[0]
    assert len(row) == len(GATE_COLUMNS)
    assert row[0] == "output throughput, tokens/s"
    assert row[3] == "-20.0 %"
    assert row[5] == "-5.0 %"
    assert row[-1] == "regressed"


def test_an_undecided_metric_says_what_would_decide() -> None:
    sentences = gate_sections(against([95.0, 112.0, 90.0, 108.0, 97.0]))[0].sentences
    needed = next(one for one in sentences if "not decided" in one)
    assert "more run" in needed
    assert "would decide" in needed


def test_a_change_close_to_the_margin_promises_nothing() -> None:
    noisy = [95.0, 112.0, 90.0, 108.0, 97.0]
    sentences = gate_sections(against([value * 0.9505 for value in noisy]))[0].sentences
    assert any("more than 100 runs" in one for one in sentences)


def test_the_noise_is_told_and_marked_where_it_is_assumed() -> None:
    alone = gate([a_record(STEADY[0]), a_record(STEADY[1], number=1)])
    assert any("runs 3.0 %, assumed" in one for one in gate_sections(alone)[0].sentences)
    assert not any("assumed" in one for one in gate_sections(against(scaled(1.0)))[0].sentences)


def test_a_simulator_is_named_as_one() -> None:
    rows = [a_record(row, number=number) for number, row in enumerate(STEADY)]
    for row in rows:
        row["summary"]["runs"][0]["simulated"] = True  # type: ignore[index]
    assert any("sim is simulated" in one for one in gate_sections(gate(rows))[0].sentences)


def test_what_is_suspect_is_named_by_its_codes() -> None:
    sentences = gate_sections(against(scaled(1.0), verdict="SUSPECT"))[0].sentences
    assert "id-009 is SUSPECT: late (its report explains)." in sentences


def test_the_markdown_has_mark_headline_table_and_sentences() -> None:
    page = render_gate_markdown(against(scaled(0.8)))
    lines = page.splitlines()
    assert lines[0] == "## ❌ Benchmark gate: regressed"
    assert lines[2] == "Regressed: output throughput -20.0 % (load on sim)."
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 3
    assert {line.count("|") for line in table} == {len(GATE_COLUMNS) + 1}
    assert page.endswith("\n")


def test_names_make_no_markup() -> None:
    rows = [a_record(row, number=number) for number, row in enumerate(STEADY)]
    for row in rows:
        for entry in (row["summary"]["runs"][0], row["runs"][0]):  # type: ignore[index]
            entry["model"] = "<img src=x>|`a`"
    page = render_gate_markdown(gate(rows, GateRules()))
    assert "<img" not in page
    assert "&lt;img src=x&gt;\\|'a'" in page
