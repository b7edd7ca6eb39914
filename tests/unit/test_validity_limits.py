"""Results that hardware can't give are invalid; fast ones that it can are not accused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from limit_samples import ENGINE, MEASURED, PEAK, hardware_record, measured_run
from record_samples import Engine, Load, one_run, trial_records
from test_models_architecture import facts_of

from tokenforge.analysis.figures import Level, Reason, RunSummary, Validity
from tokenforge.analysis.summary import summarise

CLOSED = Load(qps=None, concurrency=4, requests=120)
SHARED = replace(CLOSED, extra={"shared_prefix_tokens": 64})


def accusation(run: RunSummary) -> Reason | None:
    return next((reason for reason in run.reasons if reason.code == "physically_impossible"), None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": Engine(runtime="vllm", step_ms=1.0), "load": CLOSED}, "chunks followed each other"),
        ({"engine": Engine(runtime="vllm", prefill_ms=1.0), "load": Load(qps=1.0, requests=120)}, "first token"),
        ({"engine": Engine(runtime="vllm", prefill_ms=80.0), "architecture": "llama-3-70b"}, "chunks"),
        ({"load": Load(qps=None, concurrency=4, requests=120, prompt_tokens=40_000)}, "prompt tokens a second"),
    ],
    ids=["answers cut short", "prompts from a cache", "another model than named", "prompt tokens miscounted"],
)
def test_a_planted_result_beyond_the_hardware_is_invalid(changes: Mapping[str, Any], words: str) -> None:
    named = changes.get("architecture")
    run = measured_run(**{**changes, "architecture": facts_of(named) if named else None})
    found = accusation(run)
    assert found is not None
    assert found.level is Level.INVALID
    assert run.verdict is Validity.INVALID
    assert words in found.sentence


def test_the_accusation_names_its_likely_causes() -> None:
    found = accusation(measured_run(engine=Engine(runtime="vllm", step_ms=1.0)))
    assert found is not None
    assert all(word in found.fix for word in ("cache", "cut short", "counted", "another model"))


def test_prompts_worked_off_faster_than_the_arithmetic_allows_are_found_behind_a_queue() -> None:
    queue = Load(qps=None, concurrency=40, requests=400, prompt_tokens=4000)
    found = accusation(measured_run(engine=Engine(runtime="vllm", prefill_ms=45.0), load=queue))
    assert found is not None
    assert "prompt tokens a second" in found.sentence


@pytest.mark.parametrize("step_ms", [4.0, 8.0, 20.0])
def test_fast_runs_within_the_hardware_are_not_accused(step_ms: float) -> None:
    engine = Engine(runtime="vllm", step_ms=step_ms)
    assert accusation(measured_run(engine=engine, load=CLOSED)) is None


def test_beyond_measured_ceilings_alone_there_is_doubt_first() -> None:
    slow = replace(MEASURED, bytes_per_s=2.3e12)
    found = accusation(measured_run(engine=Engine(runtime="vllm", step_ms=5.0), ceilings=(slow,), load=CLOSED))
    assert found is not None
    assert found.level is Level.SUSPECT
    assert "measure them again" in found.fix


def test_far_beyond_measured_ceilings_is_invalid_too() -> None:
    slow = replace(MEASURED, bytes_per_s=0.8e12)
    found = accusation(measured_run(engine=Engine(runtime="vllm", step_ms=5.0), ceilings=(slow,), load=CLOSED))
    assert found is not None
    assert found.level is Level.INVALID


def test_a_family_whose_layout_is_not_known_is_doubted_and_not_condemned() -> None:
    novel = facts_of("llama-3-8b", model_type="novel")
    found = accusation(measured_run(engine=Engine(runtime="vllm", step_ms=1.0), architecture=novel, load=CLOSED))
    assert found is not None
    assert found.level is Level.SUSPECT
    assert "novel" in found.fix


def test_several_tokens_in_a_chunk_may_come_from_one_step() -> None:
    drafts = Engine(runtime="vllm", step_ms=1.0, tokens_per_chunk=4)
    assert accusation(measured_run(engine=drafts, load=CLOSED)) is None


def test_reported_cache_hits_explain_an_early_first_token() -> None:
    hits = Engine(runtime="vllm", prefill_ms=1.0, cached_share=0.99)
    assert accusation(measured_run(engine=hits, load=SHARED)) is None


def test_prompts_shared_on_purpose_are_not_judged_where_hits_are_not_told() -> None:
    engine, chance = Engine(runtime="vllm", prefill_ms=1.0), np.random.default_rng(1)
    told = trial_records(engine, SHARED, trial=0, plan_seed=1, chance=chance)
    _, silent = one_run([replace(record, cached_tokens=None) for record in told], SHARED)
    document, _ = hardware_record(engine=engine, load=SHARED)
    document["runs"][0]["id"] = "sample-00"
    run = summarise(document, silent).runs[0]
    assert accusation(run) is None
    assert run.limits.against[0].prefill is None


def test_a_mixture_may_wake_as_few_experts_as_a_token_needs() -> None:
    mixtral = facts_of("mixtral-8x7b")
    engine = Engine(runtime="vllm", step_ms=8.0)
    assert accusation(measured_run(engine=engine, architecture=mixtral, load=CLOSED, ceilings=(PEAK,))) is None


def test_a_run_without_ceilings_is_not_judged() -> None:
    assert accusation(measured_run(engine=replace(ENGINE, step_ms=0.1), ceilings=())) is None
