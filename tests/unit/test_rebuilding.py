"""Plans drawn again from a record: equal, different, or not to be had here, and each is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenforge.bench.plan import plan_trial
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.bench.rebuilding import Check, check_plans
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import NotFound
from tokenforge.domain.model import parse_model
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.runtime import RuntimeRef
from tokenforge.domain.workload import Arrival, Fixed, Trace, Workload
from tokenforge.models.tokenizers import load_tokenizer

LOAD = Workload(name="load", qps=20.0, duration_s=1.0, prompt_len=Fixed(value=16), gen_tokens=Fixed(value=4))
Record = dict[str, object]


@pytest.fixture
def tokenizer(models: Callable[[str], Path]) -> PromptTokenizer:
    return load_tokenizer(models("tiny"))


def a_record(
    tokenizer: PromptTokenizer | None, form: PromptForm, workload: Workload = LOAD, *, has_engine: bool = True
) -> Record:
    """The record of three trials whose prompts were made this way."""
    window = 2048 if has_engine else None
    plans = [
        plan_trial(workload, trial=number, seed=3, tokenizer=tokenizer, window=window, form=form) for number in range(3)
    ]
    benchmark = Benchmark(
        models=(parse_model("synthetic:tiny"),),
        runtimes=(RuntimeRef(name="sim"),),
        workloads=(workload,),
        seed=3,
        trials=3,
    )
    engine = {"max_model_len": 2048, "token_level": form is PromptForm.TOKEN_IDS} if has_engine else None
    run = {
        "model": "synthetic:tiny", "runtime": "sim@1", "workload": workload.name, "engine": engine,
        "trials": [{"trial": plan.trial, "plan_digest": plan.digest} for plan in plans],
    }  # fmt: skip
    return {"benchmark": json.loads(json.dumps(to_plain(benchmark))), "runs": [run]}


def checked(record: Record, tokenizer: PromptTokenizer | None, *, trace: Path | None = None) -> Check:
    def find(model: str) -> PromptTokenizer:
        if tokenizer is None:
            raise NotFound(f"{model} is not here")
        return tokenizer

    (check,) = check_plans(record, find, trace=trace)
    return check


@pytest.mark.parametrize("form", list(PromptForm))
def test_plans_come_out_however_prompts_travelled(tokenizer: PromptTokenizer, form: PromptForm) -> None:
    check = checked(a_record(tokenizer, form), tokenizer)
    assert (check.name, check.equal) == ("plans of load on sim@1", True)
    assert check.detail == "3 of 3 digests"


def test_prompts_of_words_come_out_without_the_model(tokenizer: PromptTokenizer) -> None:
    record = a_record(None, PromptForm.TEXT, has_engine=False)
    assert checked(record, None).equal
    assert checked(record, tokenizer).equal


def test_another_seed_gives_other_plans_and_they_are_counted(tokenizer: PromptTokenizer) -> None:
    record = a_record(tokenizer, PromptForm.TOKEN_IDS)
    record["benchmark"]["seed"] = 4  # type: ignore[index]
    check = checked(record, tokenizer)
    assert check.equal is False
    assert check.detail == "3 of 3 digests differ (trials 0, 1, 2)"


def test_one_plan_that_differs_is_named(tokenizer: PromptTokenizer) -> None:
    record = a_record(tokenizer, PromptForm.TOKEN_IDS)
    record["runs"][0]["trials"][2]["plan_digest"] = "00" * 32  # type: ignore[index]
    assert checked(record, tokenizer).detail == "1 of 3 digests differ (trials 2)"


def test_a_model_that_is_not_here_leaves_the_plans_unchecked(tokenizer: PromptTokenizer) -> None:
    check = checked(a_record(tokenizer, PromptForm.TOKEN_IDS), None)
    assert check.equal is None
    assert "synthetic:tiny is not here" in check.detail


def test_a_run_without_trials_is_not_checked(tokenizer: PromptTokenizer) -> None:
    record = a_record(tokenizer, PromptForm.TOKEN_IDS)
    record["runs"][0]["trials"] = []  # type: ignore[index]
    assert checked(record, tokenizer).equal is None


def test_a_trace_is_asked_for_where_it_is_missing_and_found_where_it_is_named(
    tokenizer: PromptTokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,37,4\n")
    replay = Workload(name="replay", arrival=Arrival.TRACE, trace=Trace(path=str(path), format="azure"))
    record = a_record(tokenizer, PromptForm.TOKEN_IDS, replay)
    moved = path.rename(tmp_path / "moved.csv")
    check = checked(record, tokenizer)
    assert check.equal is None
    assert "trace.csv" in check.detail
    assert checked(record, tokenizer, trace=moved).equal
