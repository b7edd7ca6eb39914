"""How often is a clean run accused, and how often is a change of pace missed? Twenty simulated runs at each load."""

from collections import Counter
from collections.abc import Callable

import pytest
from sim_trials import sim_run

from tokenforge.analysis.figures import RunSummary, Validity

pytestmark = pytest.mark.science

RUNS = 20


def told(runs: list[RunSummary]) -> str:
    """`18 clean, 2 too_short`."""
    found = Counter(", ".join(reason.code for reason in run.reasons) or "clean" for run in runs)
    return ", ".join(f"{count} {codes}" for codes, count in found.most_common())


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7, 0.8])
async def test_twenty_clean_runs_have_no_invalid_and_at_most_one_suspect(
    load: float, seed: int, show: Callable[[str], None]
) -> None:
    runs = [await sim_run(1000 * seed + number, load=load) for number in range(RUNS)]
    show(f"verdicts of {RUNS} clean runs at load {load}: {told(runs)}")
    verdicts = [run.verdict for run in runs]
    assert verdicts.count(Validity.INVALID) == 0
    assert verdicts.count(Validity.SUSPECT) <= 1


@pytest.mark.parametrize(("step_ms", "share"), [(30.0, 0.95), (40.0, 0.95)])
async def test_a_throttled_engine_is_found(
    step_ms: float, share: float, seed: int, show: Callable[[str], None]
) -> None:
    runs = [await sim_run(1000 * seed + number, later={"step_ms": step_ms}) for number in range(RUNS)]
    found = sum(any(reason.code == "drift" for reason in run.reasons) for run in runs)
    show(f"steps of {step_ms:g} ms instead of 20 from trial 4 on: drift found in {found} of {RUNS} runs")
    assert found >= share * RUNS
