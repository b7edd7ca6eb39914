"""Planned hang-ups: no error, no attempt, no latency; their tokens were delivered."""

from collections.abc import Mapping

import pytest
from record_samples import Load, S, one_request, one_run

from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.report.view import run_rows

LOAD = Load(slo={"e2e_ms": 10_000.0, "attainment": 0.9}, extra={"duration_s": 30.0})


def request(index: int, *, outcome: Outcome = Outcome.OK, at_s: int = 0) -> RequestRecord:
    """One token a second for three seconds after a second; a request that was left has no usage."""
    start = (at_s or index) * S
    stamps = tuple(start + n * S for n in (1, 2, 3))
    usage = 3 if outcome is Outcome.OK else None
    return one_request(
        index=index, scheduled_ns=start, sent_ns=start, first_ns=stamps[0], end_ns=stamps[-1], chunk_ns=stamps,
        chunk_tokens=(1, 1, 1), output_tokens=usage, counted_tokens=3, asked_output_tokens=3, outcome=outcome,
    )  # fmt: skip


def summary(*left: int, failed: tuple[int, ...] = (), load: Load = LOAD) -> RunSummary:
    """Ten requests, of which some were left as planned and some failed."""
    how = {**dict.fromkeys(left, Outcome.HUNG_UP), **dict.fromkeys(failed, Outcome.TIMEOUT)}
    records = [request(index, outcome=how.get(index, Outcome.OK)) for index in range(10)]
    return summarise(*one_run(records, load)).runs[0]


def test_they_are_neither_errors_nor_attempts() -> None:
    run = summary(2, 5, failed=(7,))
    assert (run.requests, run.ok, run.errors, run.warmup_requests) == (8, 7, 1, 0)
    assert run.outcomes == {"hung_up": 2, "ok": 7, "timeout": 1}


def test_a_run_of_many_has_no_doubt_about_errors() -> None:
    assert "errors" not in {reason.code for reason in summary(1, 2, 3, 4, 5).reasons}
    assert "errors" in {reason.code for reason in summary(failed=(1, 2, 3, 4, 5)).reasons}


def test_they_are_not_in_the_share_within_the_slo() -> None:
    assert summary(2, 5).attainment.value == 1.0
    assert summary(2, failed=(5,)).attainment.value == pytest.approx(8 / 9)


def test_they_have_no_latency() -> None:
    assert {name: metric.count for name, metric in summary(2, 5).latencies.items() if name in {"ttft", "e2e"}} == {
        "ttft": 8,
        "e2e": 8,
    }


def test_their_tokens_were_delivered() -> None:
    assert summary(2, 5).output_tokens_per_s.value == summary().output_tokens_per_s.value
    assert summary(2, 5).output_tokens_per_s.value


def test_those_of_the_warm_up_are_warm_up() -> None:
    run = summary(1, 8, load=Load(warmup_s=5.0, extra={"duration_s": 30.0}))
    assert (run.requests, run.warmup_requests) == (4, 5)


def test_the_report_calls_them_by_their_own_words() -> None:
    plain = to_plain(summary(2, 5, failed=(7,)))
    assert isinstance(plain, Mapping)
    (row,) = run_rows({"runs": [plain]}, {})
    assert (row.cells[0].value, row.cells[0].interval) == ("7", "1 failed, 2 hung up as planned")
