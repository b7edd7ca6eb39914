"""The driver against a server that knows the truth: every mode is measured right, or named."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

import pytest
from driver_jobs import closed_plan, drive_job, open_plan
from driver_truth import TrueAnswer, truth_server

from tokenforge.bench.driver.job import DriveResult, Endpoint, Progress
from tokenforge.bench.driver.offer import offer
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.domain.workload import Arrival

LOOSE_MS = 25.0
"""A bound that a busy two-core machine keeps; the tight one is the benchmark's matter."""

FAST = ("--ttft-us", "20000", "--itl-us", "5000")


async def run(folder: Path, *options: str, count: int = 20, tokens: int = 4) -> tuple[DriveResult, list[TrueAnswer]]:
    """`count` requests at 100/s against a server with `options`."""
    with truth_server(folder, *FAST, *options) as server:
        result = await offer(drive_job(server.url, open_plan(count, rate=100, tokens=tokens), folder))
        return result, server.stop()


def gaps_ms(stamps: tuple[int, ...]) -> list[float]:
    """Gaps between neighbours, in ms."""
    return [(later - earlier) / 1e6 for earlier, later in pairwise(stamps)]


def e2e_s(record: RequestRecord) -> float:
    """From the schedule to the end."""
    assert record.end_ns is not None
    assert record.scheduled_ns is not None
    return (record.end_ns - record.scheduled_ns) / 1e9


async def test_waiting_before_a_full_server_counts_from_the_schedule(tmp_path: Path) -> None:
    with truth_server(tmp_path, "--ttft-us", "500000", "--one-slot") as server:
        result = await offer(drive_job(server.url, open_plan(8, rate=10, tokens=1), tmp_path))
    times = [e2e_s(record) for record in result.records]
    assert mean(times) == pytest.approx(1.9, rel=0.02)
    assert max(times) == pytest.approx(3.3, rel=0.02)


async def test_every_request_is_recorded_once_and_counted_right(tmp_path: Path) -> None:
    result, truth = await run(tmp_path)
    assert [record.index for record in result.records] == list(range(20)) == sorted(answer.prompt for answer in truth)
    assert {record.outcome for record in result.records} == {Outcome.OK}
    assert {record.counted_tokens for record in result.records} == {4} == {r.output_tokens for r in result.records}
    assert result.reading.sent == 20
    assert result.reading.kernel_stamps


async def test_stamps_are_those_of_the_server(tmp_path: Path) -> None:
    result, truth = await run(tmp_path, tokens=8)
    by_prompt = {answer.prompt: answer for answer in truth}
    for record in result.records:
        answer = by_prompt[record.index]
        assert record.sent_ns is not None
        true_ttft = (answer.sent_ns[0] - answer.arrival_ns) / 1e6
        seen_ttft = (record.chunk_ns[0] - record.sent_ns) / 1e6
        assert seen_ttft == pytest.approx(true_ttft, abs=LOOSE_MS)
    errors = [
        abs(seen - true)
        for record in result.records
        for seen, true in zip(gaps_ms(record.chunk_ns), gaps_ms(by_prompt[record.index].sent_ns), strict=True)
    ]
    assert median(errors) < 0.5


async def test_the_plan_s_poisson_times_are_kept(tmp_path: Path) -> None:
    plan = open_plan(60, rate=150, arrival=Arrival.POISSON)
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, plan, tmp_path))
    for record, request in zip(result.records, plan.requests, strict=True):
        assert record.scheduled_ns == request.at_ns
    assert result.reading.lag_p50_ms is not None
    assert 0 <= result.reading.lag_p50_ms < 2
    assert min(r.sent_ns - r.scheduled_ns for r in result.records if r.sent_ns and r.scheduled_ns is not None) >= 0


async def test_a_role_only_chunk_is_no_token(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--role-first", "--ttft-us", "60000")
    for record in result.records:
        assert len(record.chunk_ns) == 4
        assert record.first_ns is not None
        assert record.sent_ns is not None
        assert record.first_ns - record.sent_ns > 50e6


async def test_chunks_of_four_tokens_are_counted_by_continuous_usage(tmp_path: Path) -> None:
    options = ("--per-chunk", "4", "--continuous-usage", "--role-first")
    with truth_server(tmp_path, *FAST, *options) as server:
        job = drive_job(server.url, open_plan(10, rate=100, tokens=14), tmp_path, continuous_usage=True)
        result = await offer(job)
    assert {record.chunk_tokens for record in result.records} == {(4, 4, 4, 2)}
    assert median(gap for r in result.records for gap in gaps_ms(r.chunk_ns)[:2]) == pytest.approx(20, abs=1)


async def test_reasoning_counts_as_tokens_in_a_chat(tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST, "--reasoning", "--role-first") as server:
        job = drive_job(server.url, open_plan(5, rate=100), tmp_path, endpoint=Endpoint.CHAT)
        result = await offer(job)
    assert {(record.outcome, record.counted_tokens) for record in result.records} == {(Outcome.OK, 4)}


async def test_bytes_cut_in_odd_places_change_nothing(tmp_path: Path) -> None:
    result, truth = await run(tmp_path, "--odd-cuts", count=30, tokens=12)
    assert {(r.outcome, r.counted_tokens, r.output_tokens) for r in result.records} == {(Outcome.OK, 12, 12)}
    true_gap = median(gap for answer in truth for gap in gaps_ms(answer.sent_ns))
    assert median(gap for r in result.records for gap in gaps_ms(r.chunk_ns)) == pytest.approx(true_gap, abs=0.5)


async def test_errors_are_not_completions_and_keep_the_server_s_words(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--error-percent", "25")
    failed = [record for record in result.records if record.outcome is not Outcome.OK]
    assert len(failed) == 5
    assert {(r.outcome, r.http_status, r.error) for r in failed} == {
        (Outcome.HTTP_ERROR, 500, "the truth is that this one fails")
    }
    assert all(r.first_ns is None and r.output_tokens is None for r in failed)


async def test_a_stall_shows_in_the_gap_where_it_was(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--stall-at", "2", "--stall-us", "150000", count=5)
    for record in result.records:
        gaps = gaps_ms(record.chunk_ns)
        assert gaps[1] == pytest.approx(155, abs=LOOSE_MS)
        assert gaps[0] < 5 + LOOSE_MS


async def test_a_late_end_of_the_response_is_in_the_end_not_in_the_tokens(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--slow-close-us", "100000", count=5)
    for record in result.records:
        assert record.end_ns is not None
        assert record.end_ns - record.chunk_ns[-1] > 90e6
        assert record.outcome is Outcome.OK


async def test_wrong_usage_is_kept_beside_what_was_counted(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--wrong-usage", "3", count=5)
    assert {(record.output_tokens, record.counted_tokens) for record in result.records} == {(7, 4)}


async def test_without_keep_alive_each_request_has_its_own_connection(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--no-keep-alive")
    assert len({record.connection for record in result.records}) == 20
    assert {record.outcome for record in result.records} == {Outcome.OK}


async def test_with_keep_alive_connections_are_used_again(tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, closed_plan(20, clients=2), tmp_path))
    assert len({record.connection for record in result.records}) <= 2


async def test_a_request_on_a_dead_kept_connection_is_sent_again_once(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--drop-reused")
    assert {record.outcome for record in result.records} == {Outcome.OK}


async def test_a_stream_that_breaks_off_is_truncated(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "--cut-after", "2", count=5)
    assert {(record.outcome, record.counted_tokens) for record in result.records} == {(Outcome.TRUNCATED, 2)}
    assert {record.output_tokens for record in result.records} == {None}


async def test_a_closed_loop_never_has_more_in_flight_than_clients(tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, closed_plan(18, clients=3), tmp_path))
    spans = [(r.sent_ns, r.end_ns) for r in result.records if r.sent_ns is not None and r.end_ns is not None]
    assert len(spans) == 18
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) == 3
    assert {record.scheduled_ns for record in result.records} == {None}


async def test_a_closed_loop_stops_sending_when_its_time_is_up(tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, closed_plan(1000, clients=2, duration_s=0.3), tmp_path))
    assert 4 < len(result.records) < 40
    assert all(record.sent_ns is not None and record.sent_ns < 0.3e9 for record in result.records)
    assert {record.outcome for record in result.records} == {Outcome.OK}


async def test_several_processes_share_one_schedule_and_one_clock(tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, open_plan(40, rate=200), tmp_path, processes=2))
    assert [record.index for record in result.records] == list(range(40))
    assert result.reading.processes == 2
    assert result.reading.lag_p50_ms is not None
    assert result.reading.lag_p50_ms < 2


async def test_a_slow_answer_ends_at_the_time_limit(tmp_path: Path) -> None:
    with truth_server(tmp_path, "--ttft-us", "5000000") as server:
        job = drive_job(server.url, open_plan(3, rate=100), tmp_path, request_timeout_s=0.2)
        result = await offer(job)
    assert {record.outcome for record in result.records} == {Outcome.TIMEOUT}
    assert all(0.2 <= e2e_s(record) < 0.5 for record in result.records)


async def test_what_is_open_after_the_drain_is_cancelled(tmp_path: Path) -> None:
    with truth_server(tmp_path, "--ttft-us", "5000000") as server:
        result = await offer(drive_job(server.url, open_plan(3, rate=100), tmp_path, drain_s=0.1))
    assert {record.outcome for record in result.records} == {Outcome.CANCELLED}


async def test_progress_is_told_while_the_load_runs(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with truth_server(tmp_path, *FAST) as server:
        await offer(drive_job(server.url, open_plan(60, rate=100), tmp_path), on_progress=seen.append)
    assert 0 < seen[len(seen) // 2].sent < 60
    assert (seen[-1].finished, seen[-1].output_tokens, seen[-1].errors) == (60, 240, 0)


async def test_refused_connections_are_named(tmp_path: Path) -> None:
    with truth_server(tmp_path) as server:
        gone = server.url
    result = await offer(drive_job(gone, replace(open_plan(3, rate=100)), tmp_path))
    assert {record.outcome for record in result.records} == {Outcome.CONNECT_FAILED}
    assert "refused" in (result.records[0].error or "")
    assert {record.sent_ns for record in result.records} == {None}
