"""What ends a plan, and what its notes say of it."""

from pathlib import Path

import pytest

from tokenforge.bench.plan import plan_trial
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.plan import PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Dataset, Fixed, Trace, TraceFormat, Workload


class Spelling:
    """One id per lower-case letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


def plan(workload: Workload, *, window: int | None = None) -> TrialPlan:
    return plan_trial(workload, trial=0, seed=1, tokenizer=Spelling(), window=window, form=PromptForm.TOKEN_IDS)


def write_trace(folder: Path, *, lengths: tuple[int, ...]) -> Trace:
    """One request a second, one token out."""
    rows = "".join(f"2024-01-01 00:00:0{second}.5,{tokens},1\n" for second, tokens in enumerate(lengths))
    path = folder / "trace.csv"
    path.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}")
    return Trace(path=str(path), format=TraceFormat.AZURE)


def replay(
    trace: Trace, *, requests: int | None = None, duration_s: float | None = None, window: int | None = None
) -> TrialPlan:
    workload = Workload(name="t", arrival=Arrival.TRACE, trace=trace, requests=requests, duration_s=duration_s)
    return plan(workload, window=window)


def test_the_number_of_requests_bounds_a_trace(tmp_path: Path) -> None:
    assert len(replay(write_trace(tmp_path, lengths=(5, 6, 7, 8)), requests=3).requests) == 3


def test_the_duration_bounds_a_trace(tmp_path: Path) -> None:
    at = [request.at_ns for request in replay(write_trace(tmp_path, lengths=(5, 6, 7, 8)), duration_s=2.0).requests]
    assert at == [0, 1_000_000_000]


def test_rows_beyond_the_bound_do_not_shrink_the_rows_within(tmp_path: Path) -> None:
    whole = replay(write_trace(tmp_path, lengths=(5, 6, 90)), requests=2, window=10)
    assert [request.prompt_tokens for request in whole.requests] == [5, 6]
    assert whole.notes == ()


def test_a_closed_loop_bounded_by_time_says_how_many_requests_it_holds() -> None:
    closed = plan(Workload(name="c", arrival=Arrival.CONCURRENCY, concurrency=2, duration_s=3))
    assert (len(closed.requests), closed.duration_s) == (300, 3)
    assert "300 requests at most" in closed.notes[0]


def test_a_closed_loop_bounded_by_time_plans_twenty_thousand_at_most() -> None:
    workload = Workload(name="c", arrival=Arrival.CONCURRENCY, concurrency=64, duration_s=60, prompt_len=Fixed(value=4))
    assert len(plan(workload).requests) == 20_000


def test_prompts_of_a_dataset_that_must_repeat_are_told(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "bc"}\n')
    short, long = (plan(Workload(name="d", qps=10, requests=n, dataset=Dataset(path=str(path)))) for n in (2, 5))
    assert not any("repeat" in note for note in short.notes)
    assert "2 prompts for 5 requests" in long.notes[1]


def test_the_request_that_does_not_fit_is_shown_as_it_is() -> None:
    with pytest.raises(InvalidInput, match=r"'90 \+ 20': a request of 110 tokens"):
        plan(Workload(name="w", qps=1, requests=2, prompt_len=Fixed(value=90), gen_tokens=Fixed(value=20)), window=100)
