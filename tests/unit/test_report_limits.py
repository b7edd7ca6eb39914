"""The limit of a run in the page and the short form."""

from typing import Any

from limit_samples import hardware_record
from record_samples import Engine, Load, sample
from test_models_architecture import facts_of

from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain
from tokenforge.report.limits import COLUMNS, LimitTable, limit_table, rate_text, share_line
from tokenforge.report.markdown import render_markdown
from tokenforge.report.page import render_report

LOAD = Load(qps=None, concurrency=4, requests=120)


def reported(**changes: Any) -> tuple[dict[str, Any], Any]:
    document, requests = hardware_record(load=LOAD, **changes)
    return {**document, "summary": to_plain(summarise(document, requests))}, requests


def table_of(document: dict[str, Any]) -> LimitTable:
    return limit_table(document["summary"])


def test_a_run_has_a_row_for_each_ceiling() -> None:
    table = table_of(reported()[0])
    assert [row[2] for row in table.rows] == ["the machine's measured ceilings", "the vendor's peak"]
    assert all(len(row) == len(COLUMNS) for row in table.rows)


def test_the_sources_name_the_figures_and_where_they_come_from() -> None:
    peak = table_of(reported()[0]).sources[1]
    assert peak.startswith("The vendor's peak (NVIDIA H200): 4.8 TB/s, 990 TFLOP/s in bfloat16.")
    assert "data sheet" in peak


def test_a_run_without_a_limit_is_named_with_the_reason() -> None:
    table = table_of(reported(ceilings=())[0])
    assert table.rows == ()
    assert table.missing[0].startswith("No limit for vllm on qa-short: this machine's ceilings are not known")


def test_page_and_short_form_show_the_same_share() -> None:
    document, requests = reported()
    share = table_of(document).rows[0][3]
    assert share.endswith(" %)")
    assert share in render_markdown(document)
    assert share in render_report(document, requests)


def test_an_unknown_peak_of_arithmetic_is_said() -> None:
    table = table_of(reported(details={"dtype": "float32"})[0])
    assert "arithmetic in float32 not known" in table.sources[0]
    assert table.rows[0][-1] == "–"


def test_a_model_of_unknown_layout_is_called_approximate() -> None:
    table = table_of(reported(architecture=facts_of("llama-3-8b", model_type="novel"))[0])
    assert table.sources[-1] == "The layout of synthetic:tiny is counted as the common one: its limits are approximate."


def test_the_terminal_s_line_is_of_the_machine_s_own_ceilings() -> None:
    run = reported()[0]["summary"]["runs"][0]
    line = share_line(run)
    assert line is not None
    assert line.startswith("qa-short on vllm ")
    assert line.endswith(" % of the machine's measured ceilings")


def test_a_summary_from_before_limits_has_no_section() -> None:
    document, requests = sample([Engine(runtime="vllm")])
    summary: Any = to_plain(summarise(document, requests))
    for run in summary["runs"]:
        del run["limits"]
    assert "## Limits" not in render_markdown({**document, "summary": summary})
    assert 'id="limits"' not in render_report({**document, "summary": summary}, requests)


def test_rates_have_a_prefix_and_three_figures() -> None:
    assert [rate_text(rate) for rate in (2.25e15, 4.39e12, 42.4e9, 12.0)] == ["2.25 P", "4.39 T", "42.4 G", "12 "]
