"""A plan dealt to processes: nothing is lost, nothing sent twice, conversations stay whole."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.bench.driver.shares import clients_of, job_rows, most_processes, share_of
from tokenforge.domain.plan import PlannedRequest, TrialPlan
from tokenforge.domain.workload import Arrival


def plan_of(turns: list[int]) -> TrialPlan:
    """A conversation of so many turns each, one request after another."""
    requests: list[PlannedRequest] = []
    for number, count in enumerate(turns):
        for turn in range(count):
            before = requests[-1].index if turn else None
            at_ns = None if turn else number
            request = PlannedRequest(index=len(requests), at_ns=at_ns, prompt_text="a", gen_tokens=1, after=before)
            requests.append(request)
    return TrialPlan(workload="w", arrival=Arrival.POISSON, trial=0, seed=1, requests=tuple(requests))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(1, 5))
def test_shares_are_the_plan_and_conversations_are_whole(turns: list[int], processes: int) -> None:
    plan = plan_of(turns)
    shares = [share_of(plan, process=process, processes=processes) for process in range(processes)]
    assert sorted(request.index for share in shares for request in share) == list(range(len(plan.requests)))
    for share in shares:
        indexes = {request.index for request in share}
        assert all(request.after is None or request.after in indexes for request in share)


def test_single_requests_are_dealt_in_turn() -> None:
    plan = plan_of([1] * 5)
    assert [request.index for request in share_of(plan, process=1, processes=2)] == [1, 3]


def test_clients_are_dealt_evenly() -> None:
    plan = replace(plan_of([1]), concurrency=7)
    assert [clients_of(plan, process=process, processes=3) for process in range(3)] == [3, 2, 2]
    assert clients_of(plan_of([1]), process=0, processes=3) is None


def test_a_turn_waits_for_no_more_than_one_process() -> None:
    assert most_processes(plan_of([3, 1, 2])) == 3
    assert most_processes(replace(plan_of([3, 1, 2]), concurrency=2)) == 2


def test_turns_point_to_places_in_the_share() -> None:
    rows = job_rows(share_of(plan_of([1, 3]), process=1, processes=2))
    assert [(row.index, row.after, row.at_ns) for row in rows] == [(1, -1, 1), (2, 0, -1), (3, 1, -1)]


@pytest.mark.parametrize(("asked", "written"), [(None, -1), (0, 0), (5, 5)])
def test_never_hanging_up_is_not_hanging_up_at_once(asked: int | None, written: int) -> None:
    request = PlannedRequest(index=0, at_ns=0, prompt_text="a", gen_tokens=1, cancel_after_ns=asked)
    assert job_rows([request])[0].hang_up_ns == written
