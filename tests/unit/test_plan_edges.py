"""Plans at their edges: what may not fit, what would be empty, and how long planning takes to grow."""

from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.bench.plan import check_workload, check_workloads, plan_trial
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.plan import PromptForm, TrialPlan
from tokenforge.domain.workload import (
    Arrival,
    Histogram,
    Length,
    LogNormal,
    Normal,
    Trace,
    TraceFormat,
    Uniform,
    Workload,
)

WORKLOADS = Path(__file__).parents[2] / "workloads"


class Letters:
    """One id per lower-case letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


def plan(workload: Workload, *, window: int | None = None, tokenizer: Letters | None = None) -> TrialPlan:
    form = PromptForm.TEXT if tokenizer is None else PromptForm.TOKEN_IDS
    return plan_trial(workload, trial=0, seed=1, tokenizer=tokenizer, window=window, form=form)


@pytest.mark.parametrize(
    "length",
    [
        LogNormal(mean=20, cv=0.3),
        Normal(mean=20, std=1, high=950),
        Uniform(low=1, high=950),
        Histogram(values=(5, 950), weights=(1e9, 1)),
    ],
)
def test_a_length_that_may_not_fit_is_refused_whatever_the_seed_drew(length: Length) -> None:
    workload = Workload(name="w", qps=1, requests=3, prompt_len=length)
    with pytest.raises(InvalidInput, match=r"does not fit .* window of 1000"):
        plan(workload, window=1000, tokenizer=Letters())
    with pytest.raises(InvalidInput, match="`high` of a distribution"):
        check_workload(workload, seed=1, window=1000)


def test_what_does_not_fit_is_told_of_all_workloads_at_once() -> None:
    loads = [Workload(name=name, qps=1, requests=3, prompt_len=Uniform(low=1, high=high)) for name, high in SIZES]
    with pytest.raises(InvalidInput, match=r"(?s)2 faults.*long: .*longer: "):
        check_workloads(loads, seed=1, window=1000)


def test_a_value_of_no_weight_need_not_fit() -> None:
    length = Histogram(values=(5, 5000), weights=(1, 0))
    check_workload(Workload(name="w", qps=1, requests=3, prompt_len=length), seed=1, window=1000)


def test_a_trial_without_a_single_request_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not one request arrives"):
        plan(Workload(name="w", qps=0.001, duration_s=1), tokenizer=Letters())


def test_words_share_the_asked_prefix_too() -> None:
    words = [
        (r.prompt_text or "").split()
        for r in plan(Workload(name="w", qps=9, requests=9, shared_prefix_tokens=7)).requests
    ]
    assert len({tuple(each[:7]) for each in words}) == 1
    assert len({tuple(each[:9]) for each in words}) == 9


def test_a_trace_without_blocks_has_prompts_that_differ_from_their_first_token_on(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01 00:00:{second:02d},9,1\n" for second in range(26))
    (tmp_path / "t.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}")
    trace = Trace(path=str(tmp_path / "t.csv"), format=TraceFormat.AZURE)
    requests = plan(Workload(name="t", arrival=Arrival.TRACE, trace=trace), tokenizer=Letters()).requests
    assert len({(request.prompt_ids or ())[0] for request in requests}) == 26


SIZES = (("short", 10), ("long", 950), ("longer", 2000))
SAMPLES = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01 00:00:00,9,3\n",
    "burstgpt": "Timestamp,Request tokens,Response tokens\n5,9,3\n",
    "mooncake": '{"timestamp": 0, "input_length": 9, "output_length": 3, "hash_ids": [0]}\n',
}


def with_sample(workload: Workload, folder: Path) -> Workload:
    """The workload; a trace, which the user has to bring, is of one request."""
    if workload.trace is None:
        return workload
    (folder / "trace").write_text(SAMPLES[workload.trace.format])
    return replace(workload, trace=replace(workload.trace, path=str(folder / "trace")))


@pytest.mark.parametrize("path", sorted(WORKLOADS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_workload_file_can_be_read_and_fits_the_tiny_model(path: Path, tmp_path: Path) -> None:
    for workload in load_benchmark(path).workloads:
        ready = with_sample(workload, tmp_path)
        check_workload(ready, seed=0, window=2048)
        assert plan(ready, window=2048, tokenizer=Letters()).requests
