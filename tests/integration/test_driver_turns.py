"""Conversations and hanging up, against the truth server: sent when due, ended when planned, nothing lost."""

from dataclasses import replace
from pathlib import Path

import pytest
from driver_jobs import closed_plan, drive_job, open_plan
from driver_truth import truth_server

from tokenforge.bench.driver.offer import offer
from tokenforge.domain.plan import TrialPlan
from tokenforge.domain.record import Outcome

THINK_MS = 30
FAST = ("--ttft-us", "20000", "--itl-us", "5000")


def conversation_plan(plan: TrialPlan, *, turns: int) -> TrialPlan:
    """The plan's requests as conversations of `turns` each."""
    requests = [
        request
        if place % turns == 0
        else replace(request, at_ns=None, after=request.index - 1, think_ns=THINK_MS * 1_000_000)
        for place, request in enumerate(plan.requests)
    ]
    return replace(plan, requests=tuple(requests))


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_turn_is_sent_when_the_user_has_thought(tmp_path: Path, processes: int) -> None:
    plan = conversation_plan(open_plan(12, rate=100), turns=3)
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, plan, tmp_path, processes=processes))
    assert {record.outcome for record in result.records} == {Outcome.OK}
    for before, record in zip(result.records, result.records[1:], strict=False):
        if plan.requests[record.index].after is not None:
            assert before.end_ns is not None
            assert record.scheduled_ns == before.end_ns + THINK_MS * 1_000_000
            assert record.sent_ns is not None
            assert record.sent_ns >= record.scheduled_ns


async def test_clients_of_a_closed_loop_hold_one_conversation_each(tmp_path: Path) -> None:
    plan = conversation_plan(closed_plan(12, clients=2), turns=3)
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, plan, tmp_path))
    assert len(result.records) == 12
    firsts = sorted(record.sent_ns or 0 for record in result.records if record.index % 3 == 0)
    lasts = sorted(record.end_ns or 0 for record in result.records if record.index % 3 == 2)
    assert all(opened >= closed for opened, closed in zip(firsts[2:], lasts, strict=False))
    assert all(record.scheduled_ns is None for record in result.records)


async def test_a_planned_hang_up_ends_the_request_then_and_is_no_error(tmp_path: Path) -> None:
    plan = open_plan(10, rate=100, tokens=50)
    requests = [replace(one, cancel_after_ns=60_000_000 if one.index % 2 else None) for one in plan.requests]
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, replace(plan, requests=tuple(requests)), tmp_path))
    left = [record for record in result.records if record.index % 2]
    assert {record.outcome for record in left} == {Outcome.HUNG_UP}
    assert {record.outcome for record in result.records if record.index % 2 == 0} == {Outcome.OK}
    for record in left:
        assert record.sent_ns is not None
        assert record.end_ns is not None
        assert (record.end_ns - record.sent_ns) / 1e6 == pytest.approx(60, abs=15)
        assert 0 < record.counted_tokens < 50


async def test_an_answer_that_is_whole_before_the_hang_up_stays_whole(tmp_path: Path) -> None:
    plan = open_plan(3, rate=100)
    requests = tuple(replace(request, cancel_after_ns=500_000_000) for request in plan.requests)
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, replace(plan, requests=requests), tmp_path))
    assert {record.outcome for record in result.records} == {Outcome.OK}


async def test_a_conversation_goes_on_after_a_hang_up(tmp_path: Path) -> None:
    plan = conversation_plan(open_plan(2, rate=100, tokens=50), turns=2)
    first, second = plan.requests
    requests = (replace(first, cancel_after_ns=40_000_000), replace(second, gen_tokens=2))
    with truth_server(tmp_path, *FAST) as server:
        result = await offer(drive_job(server.url, replace(plan, requests=requests), tmp_path))
    assert [record.outcome for record in result.records] == [Outcome.HUNG_UP, Outcome.OK]
