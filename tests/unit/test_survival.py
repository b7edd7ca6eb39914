"""What the attacks on a platform count: how a request ended, which ends have no excuse, what was lost or leaked."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from survival.asking import Asked, outcome_of, request_of, unexplained
from survival.attack import Outcome, tally
from survival.attack_table import table_of
from survival.leaks import Holding
from survival.leaks import faults_of as leak_faults
from survival.running import Seen, kind_of
from survival.runs import benchmark_body, faults_of
from survival.strikes import Strike, mended_s
from survival.wholeness import Wanted, strangers

WHOLE = b'{"choices": [{"text": "a"}]}'


@pytest.mark.parametrize(
    ("status", "body", "is_stream", "outcome"),
    [
        (200, WHOLE, False, "ok"),
        (200, b'{"text": "", "usage": {}}', False, "ok"),
        (200, b'{"choices": [{"te', False, "cut"),
        (503, b'{"code": "not_ready", "title": "x"}', False, "not_ready"),
        (429, b'{"error": {"code": "overloaded"}}', True, "overloaded"),
        (502, b"<html>", True, "unnamed"),
        (200, b'data: {"choices": []}\n\ndata: [DONE]\n\n', True, "ok"),
        (200, b'event: token\ndata: {}\n\nevent: done\ndata: {"text": ""}\n\n', True, "ok"),
        (200, b'data: {"choices": []}\n\ndata: {"error": {"code": "upstream_failed"}}\n\n', True, "upstream_failed"),
        (200, b'event: error\ndata: {"code": "deadline_exceeded"}\n\n', True, "deadline_exceeded"),
        (200, b'data: {"choices": []}\n\n', True, "cut"),
        (200, b"", True, "cut"),
    ],
)
def test_the_end_of_a_request_has_a_name(status: int, body: bytes, is_stream: bool, outcome: str) -> None:
    assert outcome_of(status, body, is_stream=is_stream) == outcome


def asked(outcome: str, began_s: float = 10.0, ended_s: float = 11.0) -> Asked:
    return Asked(began_s=began_s, ended_s=ended_s, outcome=outcome)


def test_a_lost_connection_is_excused_by_the_kill_of_a_gateway_meanwhile_and_by_nothing_else() -> None:
    assert unexplained([asked("connection_lost")], [10.5]) == []
    assert unexplained([asked("connection_lost")], [9.0, 12.0]) == [asked("connection_lost")]


def test_no_kill_excuses_a_request_without_an_answer_or_a_name() -> None:
    wrong = [asked(outcome) for outcome in ("no_answer", "cut", "unnamed", "refused")]
    assert unexplained([asked("ok"), asked("not_ready"), *wrong], [10.5]) == wrong


def test_the_same_seed_asks_the_same() -> None:
    first, second = (
        [request_of("m", chance) for _ in range(20)] for chance in (random.Random("1"), random.Random("1"))
    )
    assert first == second
    assert len({path for path, _ in first}) == 3


def runs(**statuses: str) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {b: [{"id": f"r-{b}", "status": status, "cause": "why"}] for b, status in statuses.items()}


def test_runs_that_all_ended_once_are_well() -> None:
    assert faults_of({"k1": "a", "k2": "b"}, runs(a="succeeded", b="interrupted")) == []


def test_lost_doubled_and_endless_runs_are_named() -> None:
    known = runs(a="running", c="succeeded")
    known["a"] = [*known["a"], {"id": "r2", "status": "failed", "cause": ""}]
    faults = faults_of({"k1": "a", "k2": "b", "k3": "a"}, known)
    assert faults == [
        "benchmark b is lost", "benchmark c was not asked for", "2 keys gave benchmark a",
        "benchmark a has 2 runs, not 1", "run r-a is still running", "run r2 failed without a cause",
    ]  # fmt: skip


def test_every_other_benchmark_needs_an_engine_of_its_own() -> None:
    assert ["engine_args" in benchmark_body("m", number) for number in range(4)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["python", "-P", "-m", "tokenforge.worker", "/h/wide-1.spec.json"], ("worker", "wide-1")),
        (["python", "-P", "-m", "tokenforge.cli", "gateway", "--socket-fd", "4"], ("gateway", "")),
        (["python", "-P", "-m", "tokenforge.cli", "run-queued", "f"], ("benchmark", "")),
        (["python", "-m", "tokenforge.bench.driver", "/dev/fd/9"], ("driver", "")),
        (["VLLM::EngineCore"], ("child", "")),
    ],
)
def test_a_process_is_known_by_its_command(words: list[str], found: tuple[str, str]) -> None:
    assert kind_of(words) == found


def test_zombies_benchmarks_and_unwanted_workers_are_strangers() -> None:
    known = [Seen(pid=1, kind="up"), Seen(pid=2, kind="worker", name="wide-1"), Seen(pid=3, kind="child")]
    odd = [
        Seen(pid=4, kind="worker", name="bench-1"), Seen(pid=5, kind="benchmark"),
        Seen(pid=6, kind="zombie", is_zombie=True),
    ]  # fmt: skip
    assert strangers([*known, *odd], [Wanted(name="wide", replicas=1)]) == odd


def held(mib: float = 50.0, descriptors: int = 10, tasks: int | None = 5, kind: str = "gateway") -> Holding:
    return Holding(kind=kind, name="", rss_bytes=int(mib * 2**20), descriptors=descriptors, tasks=tasks)


def test_what_is_held_as_before_is_no_leak() -> None:
    assert leak_faults([held(40)], [held(50)], [held(60)]) == []
    assert leak_faults([held(tasks=None)], [held()], [held(tasks=None)]) == []


def test_more_descriptors_tasks_or_memory_is_a_leak() -> None:
    faults = leak_faults([held()], [held()], [held(mib=70, descriptors=11, tasks=6)])
    assert faults == ["gateway : 10 -> 11 descriptors", "gateway : 5 -> 6 tasks", "gateway : 50.0 -> 70.0 MiB"]


def test_descriptors_may_be_left_out_and_clients_may_not() -> None:
    after = replace(held(descriptors=11), clients=2)
    assert leak_faults([held()], [held()], [after], with_descriptors=False) == [
        "gateway : 2 connections of clients that are gone"
    ]


def test_a_process_that_was_replaced_meanwhile_is_told() -> None:
    assert "is another than at the start" in leak_faults([held()], [held()], [held(kind="worker")])[0]


def test_the_table_has_a_row_a_kill_and_says_what_failed() -> None:
    strikes = [
        Strike(number=1, at_s=100.0, kind="gateway", name="", whole_s=102.5, looked_s=102.0),
        Strike(number=2, at_s=104.0, kind="worker", name="wide-1"),
    ]
    requests = [asked("ok", 99, 101), asked("connection_lost", 99, 100), asked("ok", 104, 105)]
    outcome = Outcome(strikes=strikes, asked=requests, runs=runs(a="succeeded"), faults=["something is lost"])
    lines = table_of(outcome)
    assert lines[1].split() == ["1", "0.0", "gateway", "2.5", "2.5", "1", "ok,", "1", "connection_lost"]
    assert lines[2].split() == ["2", "4.0", "worker", "wide-1", "never", "never", "1", "ok"]
    assert lines[-2:] == ["FAULT: something is lost", "FAILED"]
    assert "runs: 1 (1 succeeded)" in lines


def test_a_kill_before_the_last_one_was_mended_begins_the_time_anew() -> None:
    struck = [Strike(number=n, at_s=10.0 * n, kind="control", name="", whole_s=24.0, looked_s=23.0) for n in (1, 2)]
    struck.append(Strike(number=3, at_s=30.0, kind="control", name=""))
    assert [one.whole_after_s for one in struck] == [14.0, 4.0, None]
    assert [mended_s(one, struck) for one in struck] == [4.0, 4.0, None]


def test_outcomes_are_counted_with_the_good_ones_first() -> None:
    assert list(tally([asked("zzz"), asked("connection_lost"), asked("ok")])) == ["ok", "zzz", "connection_lost"]
