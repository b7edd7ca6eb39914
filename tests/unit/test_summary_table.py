"""The end of a benchmark on the terminal: answer, table, doubts."""

import io

import pytest
from planted_faults import ENGINE, LOAD, ever_sooner, records_of
from record_samples import Engine, one_run, sample
from rich.console import Console

from tokenforge.analysis.summary import summarise
from tokenforge.cli.summary_table import print_summary
from tokenforge.domain.canonical import to_plain


@pytest.fixture(scope="module")
def printed() -> str:
    document, table = sample([Engine(runtime="vllm@1"), Engine(runtime="transformers@1", step_ms=16.0)])
    shown = io.StringIO()
    print_summary({**document, "summary": to_plain(summarise(document, table))}, console=Console(file=shown, width=140))
    return shown.getvalue()


def test_the_verdict_comes_first_and_the_answer_before_the_table(printed: str) -> None:
    first, second = printed.strip().splitlines()[:2]
    assert first.strip() == "VALID"
    assert second.startswith(("On ", "vllm@1"))
    assert "faster" in printed.partition("workload")[0]


def test_each_run_has_a_row_with_its_verdict(printed: str) -> None:
    rows = [line for line in printed.splitlines() if line.rstrip().endswith(("VALID", "SUSPECT"))]
    assert len(rows) >= 2


def test_a_run_that_had_not_settled_has_no_throughput_in_the_table() -> None:
    document, table = one_run([ever_sooner(record) for record in records_of(ENGINE, LOAD)], LOAD)
    shown = io.StringIO()
    print_summary({**document, "summary": to_plain(summarise(document, table))}, console=Console(file=shown, width=140))
    row = next(line for line in shown.getvalue().splitlines() if line.startswith("qa-short"))
    assert "not steady" in row


def test_no_markup_is_left_in_the_text(printed: str) -> None:
    assert "[/]" not in printed
    assert "None" not in printed
