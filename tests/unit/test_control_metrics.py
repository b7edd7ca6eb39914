"""What control tells of deployments and of itself, on the fleet in memory and a real store."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fleet_twin import FleetTwin
from prometheus_client import CollectorRegistry
from test_control_loop import IDENTITY, SPEC, Place, settle

from tokenforge.control.loop import Control
from tokenforge.store.sql.store import open_store
from tokenforge.telemetry.control_metrics import ControlMetrics


@dataclass(slots=True)
class Watched:
    """A control with metrics."""

    place: Place
    control: Control
    registry: CollectorRegistry

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"tokenforge_{name}", labels)


def watched_by(place: Place, owner: str = "a") -> Watched:
    registry = CollectorRegistry()
    control = replace_metrics(place.control(owner), ControlMetrics(registry))
    return Watched(place, control, registry)


def replace_metrics(control: Control, metrics: ControlMetrics) -> Control:
    control.metrics = metrics
    return control


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    store = open_store(tmp_path / "store.db")
    yield watched_by(Place(store, FleetTwin()))
    await store.close()


async def test_a_deployment_is_told_with_its_phase_and_its_replicas(watched: Watched) -> None:
    await watched.place.ask(replace(SPEC, replicas=2))
    await settle(watched.place, watched.control)
    assert watched.value("deployment_phase", deployment="tiny", phase="ready") == 1
    assert watched.value("deployment_phase", deployment="tiny", phase="failed") == 0
    assert watched.value("deployment_replicas", deployment="tiny", state="ready") == 2
    assert watched.value("deployment_wanted_replicas", deployment="tiny") == 2
    assert watched.value("workers_started_total") == 2


async def test_conditions_are_told_with_their_reason(watched: Watched) -> None:
    await watched.place.ask()
    await settle(watched.place, watched.control)
    assert watched.value("deployment_condition", deployment="tiny", condition="Ready", reason="Ready") == 1


async def test_a_deployment_that_is_deleted_leaves_the_page(watched: Watched) -> None:
    await watched.place.ask()
    await settle(watched.place, watched.control)
    await watched.place.store.deployments.delete(IDENTITY)
    await settle(watched.place, watched.control)
    assert watched.value("deployment_wanted_replicas", deployment="tiny") is None


async def test_a_worker_that_died_is_counted_once_by_its_cause(watched: Watched) -> None:
    await watched.place.ask()
    await settle(watched.place, watched.control)
    (name,) = watched.place.fleet.workers
    watched.place.fleet.die(name, cause="CUDA out of memory", code="engine_dead")
    await settle(watched.place, watched.control)
    assert watched.value("workers_failed_total", reason="OutOfMemory") == 1


async def test_a_changed_spec_is_one_rollout_when_only_new_replicas_are_left(watched: Watched) -> None:
    await watched.place.ask()
    await settle(watched.place, watched.control)
    assert watched.value("rollouts_total") == 0
    await watched.place.store.deployments.change(IDENTITY, lambda spec: replace(spec, revision="2"))
    await settle(watched.place, watched.control, turns=16)
    assert watched.value("rollouts_total") == 1
    assert watched.value("deployment_generation", deployment="tiny") == 2


async def test_who_does_not_lead_tells_of_no_deployment(watched: Watched) -> None:
    await watched.place.ask()
    await settle(watched.place, watched.control)
    other = watched_by(watched.place, owner="b")
    await other.control.turn()
    assert (watched.value("control_leading"), other.value("control_leading")) == (1, 0)
    assert other.value("deployment_wanted_replicas", deployment="tiny") is None


async def test_turns_are_timed(watched: Watched) -> None:
    await watched.control.turn()
    await watched.control.turn()
    assert watched.value("reconcile_duration_seconds_count") == 2
