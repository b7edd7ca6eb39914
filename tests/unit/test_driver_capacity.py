"""How many driver processes a plan needs, known before the run."""

from dataclasses import replace

import pytest
from driver_plans import plan_at

from tokenforge.bench.driver.capacity import Capacity, busiest_tokens_per_s, measure_capacity, staff

CAPACITY = Capacity(token_s=10e-6, request_s=0.0, cores=4)
"""60,000 tokens/s a process."""


def test_the_busiest_second_of_an_open_loop_decides() -> None:
    plan = plan_at([0.0, 0.1, 0.2, 1.5, 2.5], tokens=100)
    assert busiest_tokens_per_s(plan) == 300


def test_later_turns_count_with_their_conversation() -> None:
    plan = plan_at([0.0, 0.1], tokens=100)
    turn = replace(plan.requests[1], at_ns=None, after=0)
    assert busiest_tokens_per_s(replace(plan, requests=(plan.requests[0], turn))) == 200


def test_a_light_plan_needs_one_process() -> None:
    staffing = staff(plan_at([0.0, 1.0], tokens=64), CAPACITY)
    assert (staffing.processes, staffing.can_carry) == (1, True)
    assert "1 process, good for 60,000 tokens/s each" in staffing.text


@pytest.mark.parametrize(("requests", "processes"), [(590, 1), (610, 2), (1_300, 3)])
def test_a_heavy_plan_gets_as_many_as_it_needs(requests: int, processes: int) -> None:
    plan = plan_at([place / 10_000 for place in range(requests)], tokens=100)
    assert staff(plan, CAPACITY).processes == processes


def test_more_than_the_machine_has_is_said_beforehand() -> None:
    staffing = staff(plan_at([0.0] * 3_000, tokens=100), CAPACITY)
    assert (staffing.processes, staffing.can_carry) == (4, False)
    assert "more than this machine can offer" in staffing.text


def test_the_number_asked_for_is_used_but_for_empty_shares() -> None:
    plan = plan_at([0.0, 1.0, 2.0], tokens=1)
    assert staff(plan, CAPACITY, processes=2).processes == 2
    assert staff(plan, CAPACITY, processes=9).processes == 3


def test_a_closed_loop_has_no_more_processes_than_clients() -> None:
    plan = replace(plan_at([0.0] * 50, tokens=64), concurrency=1_500)
    assert staff(plan, CAPACITY).processes == 3
    assert staff(replace(plan, concurrency=2), Capacity(token_s=1.0, request_s=1.0, cores=4)).processes == 2


def test_short_answers_cost_more_a_token() -> None:
    capacity = Capacity(token_s=10e-6, request_s=90e-6, cores=1)
    assert capacity.tokens_per_s(1) == pytest.approx(6_000)
    assert capacity.tokens_per_s(90) == pytest.approx(0.6 / 11e-6)


def test_this_machine_s_capacity_is_measured() -> None:
    capacity = measure_capacity()
    assert 1e-7 < capacity.token_s < 1e-3
    assert capacity.token_s < capacity.request_s < 1e-1
    assert capacity.cores >= 1
