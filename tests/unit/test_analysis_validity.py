"""Planted faults: each is flagged with its own code, and clean runs with none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from record_samples import MS, Engine, Load, S, one_run, requests_file, sample, trial_records

from tokenforge.analysis.figures import RunSummary, Validity
from tokenforge.analysis.summary import summarise
from tokenforge.domain.record import Outcome, RequestRecord

Change = Callable[[RequestRecord], RequestRecord]
ENGINE, LOAD = Engine(runtime="vllm"), Load(requests=200)


def planted(change: Change, *, load: Load = LOAD, engine: Engine = ENGINE) -> RunSummary:
    """Five trials with every request changed."""
    chance = np.random.default_rng(3)
    records = [
        change(record)
        for trial in range(5)
        for record in trial_records(engine, load, trial=trial, plan_seed=1, chance=chance)
    ]
    return summarise(*one_run(records, load)).runs[0]


def codes(run: RunSummary) -> set[str]:
    return {reason.code for reason in run.reasons}


def doctored(path: tuple[str, ...], value: object) -> RunSummary:
    """A clean record with one value of its document changed."""
    document, table = sample([ENGINE])
    spot: object = document
    for key in path[:-1]:
        spot = spot[int(key)] if isinstance(spot, list) else spot[key]  # type: ignore[index]
    spot[path[-1]] = value  # type: ignore[index]
    return summarise(document, table).runs[0]


def late(record: RequestRecord) -> RequestRecord:
    assert record.scheduled_ns is not None
    return replace(record, sent_ns=record.scheduled_ns + (12 * MS if record.index % 10 == 0 else 0))


def slow_sender(record: RequestRecord) -> RequestRecord:
    return replace(record, sent_ns=int((record.scheduled_ns or 0) * 1.03), first_ns=10**12, end_ns=10**12 + S)


def failing(record: RequestRecord) -> RequestRecord:
    return replace(record, outcome=Outcome.HTTP_ERROR) if record.index % 50 == 0 else record


def shortened(record: RequestRecord) -> RequestRecord:
    return replace(record, output_tokens=10, counted_tokens=10) if record.index % 4 == 0 else record


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (late, "generator_late"),
        (slow_sender, "rate_off"),
        (failing, "errors"),
        (shortened, "output_length"),
        (lambda record: replace(record, counted_tokens=12), "token_count"),
        (lambda record: replace(record, cached_tokens=64), "warm_prefix_cache"),
        (lambda record: replace(record, sent_ns=(record.first_ns or 0) + MS), "clock_step"),
        (lambda r: replace(r, outcome=Outcome.CANCELLED) if r.index == 199 else r, "not_drained"),
    ],
)
def test_a_planted_fault_is_flagged_with_its_code(change: Change, code: str) -> None:
    run = planted(change)
    assert code in codes(run)
    assert run.verdict is not Validity.VALID


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("runs", "0", "status"), "failed", "run_failed"),
        (("runs", "0", "status"), "interrupted", "run_incomplete"),
        (("runs", "0", "engine", "simulated"), True, "simulated"),
        (("runs", "0", "trials", "0", "driver", "cpu_share"), 0.97, "generator_busy"),
        (("runs", "0", "trials", "0", "driver", "stopped_early"), "a signal", "not_drained"),
        (("environment", "pressure", "before", "load_1m"), 7.0, "machine_busy"),
        (("environment", "pressure", "after", "steal_share"), 0.2, "cpu_stolen"),
    ],
)
def test_what_the_record_says_against_a_run_is_flagged(path: tuple[str, ...], value: object, code: str) -> None:
    run = doctored(path, value)
    assert codes(run) == {code}
    assert run.verdict is not Validity.VALID


def test_a_rate_above_capacity_is_over_saturated() -> None:
    run = planted(lambda record: record, load=Load(qps=40.0, requests=400))
    assert "over_saturated" in codes(run)
    assert run.saturated


def test_clean_runs_are_not_accused() -> None:
    verdicts = [summarise(*sample([ENGINE], [LOAD], seed=seed)).runs[0].verdict for seed in range(20)]
    assert verdicts.count(Validity.INVALID) == 0
    assert verdicts.count(Validity.SUSPECT) <= 1


def test_a_stable_queue_at_high_load_is_not_called_over_saturated() -> None:
    load = Load(qps=20.0, requests=1000)
    flags = [summarise(*sample([ENGINE], [load], seed=seed)).runs[0].saturated for seed in range(6)]
    assert sum(flags) <= 1


def test_one_short_trial_is_suspect_for_its_size() -> None:
    run = summarise(*sample([ENGINE], [Load(requests=30)], trials=1)).runs[0]
    assert codes(run) == {"too_few_trials", "too_few_requests"}


def test_cache_hits_are_no_fault_where_a_shared_prefix_was_asked() -> None:
    load = replace(LOAD, extra={"shared_prefix_tokens": 64})
    assert "warm_prefix_cache" not in codes(planted(lambda r: replace(r, cached_tokens=64), load=load))


def test_chunks_of_several_tokens_are_noted_and_stay_valid() -> None:
    run = planted(lambda record: record, engine=replace(ENGINE, tokens_per_chunk=4))
    assert codes(run) == {"multi_token_chunks"}
    assert run.verdict is Validity.VALID


def test_every_reason_says_what_to_do() -> None:
    run = planted(failing)
    assert all(reason.sentence.endswith(".") and reason.fix.endswith(".") for reason in run.reasons)


def test_a_run_without_any_row_is_invalid() -> None:
    document, _ = sample([ENGINE])
    run = summarise(document, requests_file([])).runs[0]
    assert codes(run) == {"no_requests"}
    assert run.verdict is Validity.INVALID
