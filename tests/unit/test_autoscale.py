"""Autoscale: how many replicas for which demand. Virtual time, no process, no store."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenforge.control.autoscale import TTFT_SETTLE_S, Look, begin, decide
from tokenforge.domain.demand import Demand, total
from tokenforge.domain.deployment import Autoscale
from tokenforge.domain.deployment_state import Scaling

RULE = Autoscale(min=1, max=4, target=8, down_after_s=60, idle_s=300)
TO_ZERO = replace(RULE, min=0)


@dataclass(slots=True)
class Life:
    """One deployment through time; `looks` counts them, `changes` tells each change of the number."""

    rule: Autoscale = RULE
    scaling: Scaling = field(default_factory=lambda: begin(RULE, replicas=1, now_s=1_000.0))
    now_s: float = 1_000.0
    last_request_s: float | None = None
    changes: list[str] = field(default_factory=list)
    most: int | None = None
    healthy_since_s: float = 1.0

    def run(self, seconds: float, in_flight: float = 0.0, waiting: float = 0.0, ttft_ms: float | None = None) -> int:
        """The same demand for so long, looked at every half second; how many are wanted in the end."""
        for _ in range(max(1, round(2 * seconds))):
            self.now_s += 0.5
            if in_flight + waiting > 0:
                self.last_request_s = self.now_s
            idle_s = None if self.last_request_s is None else self.now_s - self.last_request_s
            self.see(Demand(in_flight=in_flight, waiting=waiting, idle_s=idle_s, ttft_p90_ms=ttft_ms))
        return self.scaling.replicas

    def see(self, demand: Demand | None) -> int:
        """One look."""
        then = decide(
            self.rule,
            self.scaling,
            Look(now_s=self.now_s, demand=demand, healthy_since_s=self.healthy_since_s, most=self.most),
        )
        if then.replicas != self.scaling.replicas:
            self.changes.append(f"{then.reason}: {then.why}")
        self.scaling = then
        return then.replicas


def test_requests_beyond_the_target_bring_replicas_at_once() -> None:
    life = Life()
    assert life.run(0.5, in_flight=16, waiting=3) == 3
    assert life.changes == ["ScaledUp: 3 waiting and 16 in flight for 1 replica: 1 -> 3"]


def test_never_more_than_the_most_and_never_fewer_than_the_least() -> None:
    life = Life(rule=replace(RULE, min=2))
    assert life.run(1) == 2
    assert life.run(1, waiting=1_000) == 4
    assert life.run(400) == 2


def test_fewer_only_after_fewer_were_enough_for_a_while() -> None:
    life = Life()
    life.run(1, in_flight=30)
    assert life.run(59, in_flight=2) == 4
    assert life.run(3, in_flight=2) == 1
    assert life.changes[-1] == "ScaledDown: no more than 1 needed for 60 s: 4 -> 1"


def test_the_busiest_moment_of_that_while_counts() -> None:
    life = Life()
    life.run(1, in_flight=30)
    life.run(30, in_flight=2)
    life.run(1, in_flight=20)
    life.run(27, in_flight=2)
    assert life.run(3, in_flight=2) == 3


def test_a_busy_moment_begins_the_while_anew() -> None:
    life = Life()
    life.run(1, in_flight=30)
    life.run(50, in_flight=2)
    life.run(1, in_flight=30)
    assert life.run(50, in_flight=2) == 4


def test_demand_that_sways_around_a_border_changes_nothing() -> None:
    life = Life()
    life.run(1, in_flight=16)
    changes = len(life.changes)
    for _ in range(300):
        life.run(0.5, in_flight=15.5)
        life.run(0.5, in_flight=17)
    assert len(life.changes) == changes


def test_the_last_replica_goes_after_the_idle_time_alone() -> None:
    life = Life(rule=TO_ZERO)
    life.run(5, in_flight=1)
    assert life.run(299) == 1
    assert life.run(40) == 0
    assert life.changes == ["ScaledToZero: no request for 300 s: 1 -> 0"]


def test_the_time_to_come_up_is_no_idle_time() -> None:
    life = Life(rule=TO_ZERO, healthy_since_s=0.0)
    assert life.run(1_000) == 1
    life.healthy_since_s = life.now_s
    assert life.run(299) == 1
    assert life.run(40) == 0


def test_a_request_now_and_then_keeps_the_last_replica() -> None:
    life = Life(rule=TO_ZERO)
    for _ in range(10):
        life.run(0.5, in_flight=0.1)
        assert life.run(280) == 1


def test_requests_too_short_to_be_seen_in_flight_keep_it_too() -> None:
    life = Life(rule=TO_ZERO)
    for _ in range(10):
        life.last_request_s = life.now_s
        assert life.run(280) == 1


def test_one_who_waits_wakes_it_at_once() -> None:
    life = Life(rule=TO_ZERO, scaling=begin(TO_ZERO, replicas=0, now_s=1_000.0))
    assert life.run(60) == 0
    assert life.run(0.5, waiting=1) == 1
    assert life.changes == ["Woken: 1 waiting for no replica: 0 -> 1"]


def test_many_who_wait_wake_as_many_as_they_need() -> None:
    assert Life(rule=TO_ZERO, scaling=begin(TO_ZERO, replicas=0, now_s=1_000.0)).run(0.5, waiting=20) == 3


def test_one_who_came_and_did_not_wait_wakes_it_too() -> None:
    life = Life(rule=TO_ZERO)
    assert life.run(400) == 0
    life.last_request_s = life.now_s + 1.0
    assert life.run(2) == 1


def test_the_request_before_it_went_idle_does_not_wake_it() -> None:
    life = Life(rule=TO_ZERO)
    life.run(5, in_flight=1)
    life.run(400)
    assert life.run(400) == 0


def test_while_no_gateway_reports_nothing_changes() -> None:
    life = Life(rule=TO_ZERO)
    life.run(1, in_flight=30)
    before = life.scaling
    life.now_s += 10_000
    life.see(None)
    assert life.scaling is before


def test_answers_that_begin_too_late_bring_one_replica_and_time_to_settle() -> None:
    life = Life(rule=replace(RULE, ttft_ms=500))
    assert life.run(TTFT_SETTLE_S + 1, in_flight=1, ttft_ms=900) == 2
    assert life.changes == ["ScaledUp: TTFT p90 of 900 ms, above 500 ms, for 1 replica: 1 -> 2"]
    assert life.run(TTFT_SETTLE_S - 2, in_flight=1, ttft_ms=900) == 2
    assert life.run(3, in_flight=1, ttft_ms=900) == 3


def test_none_is_taken_away_while_answers_begin_almost_too_late() -> None:
    life = Life(rule=replace(RULE, ttft_ms=500))
    life.run(1, in_flight=30)
    assert life.run(200, in_flight=1, ttft_ms=450) == 4
    assert life.run(70, in_flight=1, ttft_ms=300) == 1


def test_bounds_that_change_hold_at_once() -> None:
    life = Life()
    life.run(1, in_flight=30)
    life.rule = replace(RULE, max=2)
    assert life.see(None) == 2
    life.rule = replace(RULE, min=3)
    assert life.see(None) == 3


def test_what_the_machine_has_left_is_a_bound_too() -> None:
    life = Life(most=2)
    assert life.run(1, in_flight=30) == 2
    assert Life(most=0, rule=TO_ZERO, scaling=begin(TO_ZERO, replicas=0, now_s=0.0)).run(1, waiting=3) == 0


def test_what_is_remembered_is_written_seldom() -> None:
    life = Life(rule=TO_ZERO)
    seen = set()
    for _ in range(600):
        life.run(0.5, in_flight=1)
        life.run(0.5)
        seen.add(life.scaling)
    assert len(seen) < 60


@settings(max_examples=60, deadline=None)
@given(loads=st.lists(st.floats(0, 100), min_size=1, max_size=80), low=st.integers(0, 3), high=st.integers(3, 6))
def test_whatever_comes_the_bounds_hold_and_zero_is_idle(loads: list[float], low: int, high: int) -> None:
    rule = Autoscale(min=low, max=high, target=5, down_after_s=4, idle_s=6)
    life = Life(rule=rule, scaling=begin(rule, replicas=1, now_s=1_000.0))
    for load in loads:
        before = life.scaling.replicas
        after = life.run(2, in_flight=load if load > 30 else 0.0)
        assert low <= after <= high
        if after < before and after == 0:
            assert life.last_request_s is None or life.now_s - life.last_request_s >= 6


def test_demand_of_several_gateways_adds_up_and_the_worst_time_counts() -> None:
    parts = [Demand(in_flight=3, waiting=1, idle_s=9, ttft_p90_ms=80), Demand(in_flight=2, idle_s=4, ttft_p90_ms=120)]
    assert total(parts) == Demand(in_flight=5, waiting=1, idle_s=4, ttft_p90_ms=120)
    assert total([]) == Demand()


@pytest.mark.parametrize(("asked", "begins"), [(0, 1), (1, 1), (9, 4)])
def test_it_begins_with_what_was_asked_for_within_the_bounds(asked: int, begins: int) -> None:
    assert begin(RULE, replicas=asked, now_s=0.0).replicas == begins
