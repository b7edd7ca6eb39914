"""The plan of a trial: exact, repeatable, and refused when it does not fit."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.bench.plan import check_workload, plan_trial
from tokenforge.domain.durations import FixedSeconds
from tokenforge.domain.errors import InvalidInput, NotFound
from tokenforge.domain.plan import PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Fixed, Trace, TraceFormat, Uniform, Workload
from tokenforge.models.tokenizers import ModelTokenizer, load_tokenizer

IDS = PromptForm.TOKEN_IDS


class Letters:
    """A tokenizer of one id per letter: the same everywhere, so its plans have known digests."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def tokenizer(models: Callable[[str], Path]) -> ModelTokenizer:
    return load_tokenizer(models("tiny"))


def a_workload(**changes: object) -> Workload:
    known: dict[str, object] = {"qps": 20.0, "duration_s": 5.0, "prompt_len": Fixed(value=12), **changes}
    return Workload(name="w", **known)  # type: ignore[arg-type]


def a_plan(workload: Workload, *, seed: int = 1, trial: int = 0, window: int | None = 2048) -> TrialPlan:
    return plan_trial(workload, trial=trial, seed=seed, tokenizer=Letters(), window=window, form=IDS)


def test_equal_seeds_give_equal_digests_in_another_process() -> None:
    code = "from test_plan import a_plan, a_workload; import sys; sys.stdout.write(a_plan(a_workload()).digest)"
    here = str(Path(__file__).parent)
    env = {"PYTHONPATH": here, "PYTHONHASHSEED": "17", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == a_plan(a_workload()).digest


def test_the_digest_is_the_same_on_any_machine() -> None:
    assert a_plan(a_workload(prompt_len=Uniform(low=4, high=40))).digest == GOLDEN


def test_the_digest_of_conversations_and_hang_ups_is_the_same_on_any_machine() -> None:
    talks = a_workload(turns=Fixed(value=2), think_time_s=FixedSeconds(value=1), gen_tokens=Fixed(value=3))
    assert a_plan(talks).digest == GOLDEN_TALKS
    assert a_plan(replace(talks, cancel_share=0.5, cancel_after_s=FixedSeconds(value=1))).digest == GOLDEN_CANCELLED


def test_another_seed_or_trial_gives_another_digest() -> None:
    digests = {a_plan(a_workload(), seed=s, trial=t).digest for s in (1, 2) for t in (0, 1)}
    assert len(digests) == 4


def test_prompts_have_exactly_the_asked_tokens(tokenizer: ModelTokenizer) -> None:
    workload = a_workload(prompt_len=Uniform(low=1, high=300))
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=tokenizer, window=None, form=IDS)
    assert all(len(request.prompt_ids or ()) == request.prompt_tokens for request in plan.requests)


def test_prompts_sent_as_text_encode_to_exactly_the_asked_tokens(tokenizer: ModelTokenizer) -> None:
    workload = a_workload(prompt_len=Uniform(low=1, high=200))
    ids = plan_trial(workload, trial=0, seed=1, tokenizer=tokenizer, window=None, form=IDS)
    text = plan_trial(workload, trial=0, seed=1, tokenizer=tokenizer, window=None, form=PromptForm.TEXT)
    counts = [len(tokenizer.encode(request.prompt_text or "")) for request in text.requests]
    assert counts == [request.prompt_tokens for request in ids.requests]


def test_no_two_prompts_begin_alike_unless_asked() -> None:
    heads = [(request.prompt_ids or ())[:8] for request in a_plan(a_workload()).requests]
    assert len(set(heads)) == len(heads)


def test_a_shared_prefix_is_shared_within_a_trial_and_no_further() -> None:
    workload = a_workload(shared_prefix_tokens=8)
    heads = [{(r.prompt_ids or ())[:8] for r in a_plan(workload, trial=t).requests} for t in (0, 1)]
    assert len(heads[0]) == len(heads[1]) == 1
    assert heads[0] != heads[1]


def test_without_a_tokenizer_prompts_are_words_and_the_plan_says_so() -> None:
    plan = plan_trial(a_workload(), trial=0, seed=1, tokenizer=None, window=None, form=PromptForm.TEXT)
    assert len((plan.requests[0].prompt_text or "").split()) == 12
    assert plan.requests[0].prompt_tokens is None
    assert "words" in plan.notes[0]


def test_a_closed_loop_has_clients_and_no_times() -> None:
    plan = a_plan(a_workload(arrival=Arrival.CONCURRENCY, concurrency=3, requests=9))
    assert (plan.concurrency, len(plan.requests), plan.requests[0].at_ns) == (3, 9, None)


def test_what_does_not_fit_the_window_is_refused_with_the_numbers() -> None:
    with pytest.raises(InvalidInput, match=r"140 tokens does not fit .* 100"):
        a_plan(a_workload(), window=100)
    with pytest.raises(InvalidInput, match="does not fit"):
        check_workload(a_workload(), seed=1, window=100)


def test_a_missing_trace_is_found_before_anything_starts(tmp_path: Path) -> None:
    trace = Trace(path=str(tmp_path / "none.csv"), format=TraceFormat.AZURE)
    with pytest.raises(NotFound, match=r"none\.csv"):
        check_workload(a_workload(arrival=Arrival.TRACE, trace=trace), seed=1, window=100)


GOLDEN = "d79b72e1d2d1738efa0f01c917e7bb449d1e6665e8e2ffcddcdd97a0f602ef9b"
GOLDEN_TALKS = "52996beddd20050ea1bad65af15a68b3f3ab40b256fbdd21eaa13f52caab9609"
GOLDEN_CANCELLED = "7bba114c92eca026bc04a675921378195336b61f608fc70c20f48e28739c7db4"
