"""From a capacity to replicas and money."""

import pytest

from tokenforge.analysis.capacity_search import Capacity
from tokenforge.analysis.replicas import Terms, cost_at_capacity, deploy, replicas_needed

CAPACITY = Capacity(value=10.0, low=8.0, high=12.5, note=None, points=(), fit=())
TERMS = Terms(headroom=0.8, output_tokens=100.0, price_per_hour=3.6)


def test_replicas_are_counted_from_the_lower_end_and_the_headroom() -> None:
    assert [replicas_needed(rate, capacity=8.0, headroom=0.8) for rate in (0.0, 6.4, 6.5)] == [0, 1, 2]


def test_a_trace_gives_replica_hours_and_dollars_with_their_interval() -> None:
    plan = deploy([6.4] * 30 + [12.8] * 30, CAPACITY, TERMS)
    assert plan is not None
    assert plan.most == 2
    assert plan.replica_hours == pytest.approx(1.5)
    assert plan.dollars_per_million is not None
    assert plan.dollars_per_million.high == pytest.approx(1.5 * 3.6 / (9.6 * 3600 * 100) * 1e6)
    assert plan.joules_per_token is None


def test_the_price_at_capacity_turns_over_with_the_rate() -> None:
    cost = cost_at_capacity(CAPACITY, TERMS)
    assert cost is not None
    assert [cost.low, cost.value, cost.high] == pytest.approx([1.0, 1.25, 1.5625])


def test_power_that_is_known_gives_joules_per_token() -> None:
    plan = deploy([8.0], CAPACITY, Terms(headroom=1.0, output_tokens=100.0, power_w=400.0))
    assert plan is not None
    assert plan.joules_per_token is not None
    assert plan.joules_per_token.high == pytest.approx(0.5)


def test_without_a_capacity_that_was_shown_there_are_no_replicas() -> None:
    unknown = Capacity(value=5.0, low=None, high=None, note="more trials", points=(), fit=())
    assert deploy([1.0], unknown, TERMS) is None
