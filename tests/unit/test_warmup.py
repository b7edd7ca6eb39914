"""What of a start does not count where nobody said."""

import pytest
from record_samples import Engine, Load, sample

from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.summary import summarise
from tokenforge.analysis.warmup import default_warmup_s


@pytest.mark.parametrize(
    ("load_s", "e2e_p95_s", "expected"),
    [
        (6, 1, 0.0),
        (60, 1, 0.0),
        (80, 1, 10.0),
        (120, 1, 30.0),
        (600, 1, 30.0),
        (600, 40, 80.0),
        (100, 40, 20.0),
        (0, 0, 0.0),
    ],
)
def test_the_default_warm_up(load_s: float, e2e_p95_s: float, expected: float) -> None:
    assert default_warmup_s(load_s=load_s, e2e_p95_s=e2e_p95_s) == expected


def summary(load: Load) -> RunSummary:
    return summarise(*sample([Engine(runtime="vllm")], [load])).runs[0]


def load_of(seconds: int, **extra: object) -> Load:
    """Five requests a second; no warm-up is named unless `extra` does."""
    return Load(requests=5 * seconds, extra={"warmup_s": None, "duration_s": float(seconds), **extra})


def test_a_long_load_without_a_warm_up_loses_its_first_30_s_and_says_so() -> None:
    run = summary(load_of(180))
    assert run.warmup_requests == pytest.approx(5 * 150, rel=0.15)
    said = next(reason for reason in run.reasons if reason.code == "default_warmup")
    assert "the first 30 s of each trial do not count" in said.sentence
    assert (run.steadiness.warmup_s, run.steadiness.warmup_by) == (30.0, "default")


def test_a_short_load_without_a_warm_up_counts_whole() -> None:
    run = summary(load_of(30))
    assert run.warmup_requests == 0
    assert (run.steadiness.warmup_s, run.steadiness.warmup_by) == (0.0, "none")
    assert run.reasons == ()


@pytest.mark.parametrize(("asked", "left_out"), [(0.0, 0.0), (12.0, 12.0)])
def test_the_workloads_own_warm_up_holds_whatever_the_load(asked: float, left_out: float) -> None:
    run = summary(load_of(180, warmup_s=asked))
    assert run.steadiness.warmup_s == left_out
    assert "default_warmup" not in {reason.code for reason in run.reasons}


@pytest.mark.parametrize("arrival", ["ramp", "step", "trace"])
def test_a_load_that_changes_by_plan_has_no_default_warm_up(arrival: str) -> None:
    run = summary(load_of(180, arrival=arrival))
    assert run.warmup_requests == 0
    assert run.steadiness.note == "the load changes by plan"
