"""Planned hang-ups: a seeded share, and nothing else moves."""

from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.bench.plan import plan_trial
from tokenforge.domain.durations import FixedSeconds, UniformSeconds
from tokenforge.domain.plan import PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Fixed, Trace, Workload

LOAD = Workload(name="w", qps=20, requests=2000, prompt_len=Fixed(value=3))
SOME = replace(LOAD, cancel_share=0.1, cancel_after_s=FixedSeconds(value=0.5))


def plan(workload: Workload) -> TrialPlan:
    return plan_trial(workload, trial=0, seed=1, tokenizer=None, window=None, form=PromptForm.TEXT)


def hung_up(workload: Workload) -> set[int]:
    return {request.index for request in plan(workload).requests if request.cancel_after_ns is not None}


def test_the_asked_share_is_hung_up_on_after_the_asked_time() -> None:
    assert len(hung_up(SOME)) == pytest.approx(200, abs=50)
    assert {request.cancel_after_ns for request in plan(SOME).requests} == {None, 500_000_000}


def test_a_share_of_nothing_or_all() -> None:
    assert not hung_up(replace(SOME, cancel_share=0.0))
    assert len(hung_up(replace(SOME, cancel_share=1.0))) == 2000


def test_nothing_else_moves_when_some_hang_up() -> None:
    without = [replace(request, cancel_after_ns=None) for request in plan(SOME).requests]
    assert tuple(without) == plan(LOAD).requests


def test_a_larger_share_keeps_those_of_the_smaller() -> None:
    assert hung_up(SOME) < hung_up(replace(SOME, cancel_share=0.3))


def test_another_time_is_for_the_same_requests_and_another_plan() -> None:
    drawn = replace(SOME, cancel_after_s=UniformSeconds(low=0.1, high=0.2))
    assert hung_up(drawn) == hung_up(SOME)
    assert all(1e8 <= r.cancel_after_ns <= 2e8 for r in plan(drawn).requests if r.cancel_after_ns is not None)
    assert len({plan(workload).digest for workload in (LOAD, SOME, drawn)}) == 3


def test_a_trace_may_be_hung_up_on_too(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("Timestamp,Request tokens,Response tokens\n" + "5,9,1\n" * 20)
    trace = Trace(path=str(tmp_path / "t"), format="burstgpt")
    assert len(hung_up(replace(SOME, arrival=Arrival.TRACE, qps=None, trace=trace, cancel_share=1.0))) == 20
