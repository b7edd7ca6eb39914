"""The verdict on the simulator in virtual time: quiet runs are believed, an engine that changes is found."""

import pytest
from sim_trials import sim_run

from tokenforge.analysis.figures import Validity


@pytest.mark.parametrize("seed", range(4))
async def test_a_clean_run_is_valid(seed: int) -> None:
    run = await sim_run(seed, load=0.5 + 0.1 * (seed % 3))
    assert run.reasons == ()
    assert run.verdict is Validity.VALID


async def test_an_engine_throttled_from_its_third_trial_on_drifts() -> None:
    run = await sim_run(2, later={"step_ms": 30.0}, first=2)
    assert [reason.code for reason in run.reasons] == ["drift"]
    assert run.reasons[0].numbers["trial"] == 2


async def test_an_engine_that_stands_still_in_pulses_drifts() -> None:
    run = await sim_run(2, later={"stall_every": 10, "stall_ms": 200.0}, first=3, load=0.4)
    assert "drift" in [reason.code for reason in run.reasons]


async def test_wrong_usage_is_a_miscount() -> None:
    run = await sim_run(1, later={"usage_off_by": 2}, first=0)
    assert [reason.code for reason in run.reasons] == ["token_count", "output_length"]


async def test_a_rate_above_capacity_is_over_saturated() -> None:
    run = await sim_run(1, load=1.6, requests=300)
    assert [reason.code for reason in run.reasons] == ["over_saturated"]
