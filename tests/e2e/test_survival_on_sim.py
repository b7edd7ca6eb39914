"""Short versions of `benchmarks/platform`: processes are killed and clients vanish, and nothing is lost or held."""

from pathlib import Path

import pytest

from survival.attack import Plan, attack
from survival.attack_table import table_of
from survival.vanishing import Plan as VanishPlan
from survival.vanishing import table_of as vanish_table
from survival.vanishing import vanish

pytestmark = pytest.mark.timeout(240)


async def test_kills_of_gateway_control_and_worker_under_load_lose_nothing(tmp_path: Path) -> None:
    outcome = await attack(
        Plan(kills=3, seed=14, clients=4, most_gap_s=4.0, ahead=1), home=tmp_path / "home", say=print
    )
    print("\n".join(table_of(outcome)))
    assert {strike.kind for strike in outcome.strikes} == {"gateway", "control", "worker"}
    assert any(one.outcome == "ok" for one in outcome.asked)
    assert outcome.runs
    assert outcome.faults == []


async def test_clients_that_vanish_leave_no_slot_no_connection_and_no_task(tmp_path: Path) -> None:
    plan = VanishPlan(runtime="sim", seconds=2.0, clients=40, seed=1, warm_up_s=1.0, is_patient=False)
    outcome = await vanish(plan, home=tmp_path / "home", say=print)
    print("\n".join(vanish_table(outcome)))
    assert outcome.left["in the answer"] > 20
    assert outcome.faults == []
