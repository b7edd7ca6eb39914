"""The decision of control: what follows from what is wanted and what is there. No process, no clock, no store."""

import itertools
from dataclasses import dataclass, field, replace

import pytest
from fleet_twin import FleetTwin
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenforge.control.decision import (
    START_LIMIT_S,
    TEMPLATE_LABEL,
    Forget,
    Preparation,
    PreparationStatus,
    Prepare,
    Remove,
    Start,
    Stop,
    World,
)
from tokenforge.control.reconcile import (
    CALM_S,
    MOST_BACK_OFF_S,
    MOST_KILLED_BACK_OFF_S,
    back_off_s,
    reconcile,
)
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Condition, Observed, Phase, can_step
from tokenforge.domain.errors import NotEnoughMemory, NotFound, TokenForgeError
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime
from tokenforge.protocol.worker_spec import WorkerPhase

SPEC = DeploymentSpec(name="a", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"))


@dataclass(slots=True)
class Stage:
    """A deployment, its fleet, its preparation, and control's decisions acted out on them."""

    deployment: Deployment = field(
        default_factory=lambda: Deployment(
            id=DeploymentId("d"), spec=SPEC, generation=1, observed=Observed(), created_at="", updated_at=""
        )
    )
    fleet: FleetTwin = field(default_factory=FleetTwin)
    preparation: Preparation | None = None
    demand: Demand | None = None
    most: int | None = None
    silent_s: dict[str, float] = field(default_factory=dict)
    is_removed: bool = False
    phases: list[Phase] = field(default_factory=list)

    def want(self, **changes: object) -> None:
        """Change the spec."""
        spec = replace(self.deployment.spec, **changes)  # type: ignore[arg-type]
        self.deployment = replace(self.deployment, spec=spec, generation=self.deployment.generation + 1)

    def turn(self, *, error: TokenForgeError | None = None) -> list[object]:
        """One decision, acted out; a preparation it asks for is done (or failed with `error`) at once."""
        decision = reconcile(self.deployment, self.world())
        self.phases.append(decision.observed.phase)
        self.deployment = replace(self.deployment, observed=decision.observed)
        for action in decision.actions:
            self._act(action, error)
        return list(decision.actions)

    def world(self) -> World:
        """What control sees now."""
        return World(
            sightings=list(self.fleet.workers.values()), preparation=self.preparation, now_s=self.fleet.now_s, now="t",
            demand=self.demand, most=self.most, silent_s=self.silent_s,
        )  # fmt: skip

    def _act(self, action: object, error: TokenForgeError | None) -> None:
        if isinstance(action, Prepare):
            status = PreparationStatus.DONE if error is None else PreparationStatus.FAILED
            self.preparation = Preparation(
                template=action.template, status=status, error=error, ended_at_s=self.fleet.now_s
            )
        elif isinstance(action, Start):
            self.fleet.add(f"w{self.fleet.launched}", {TEMPLATE_LABEL: action.template})
        elif isinstance(action, Stop):
            worker = self.fleet.workers[action.name]
            since = worker.stopping_since_s or self.fleet.now_s
            alive = worker.is_alive and not action.is_forced
            self.fleet.workers[action.name] = replace(worker, stopping_since_s=since, is_alive=alive)
        elif isinstance(action, Forget):
            assert not self.fleet.workers.pop(action.name).is_alive
        elif isinstance(action, Remove):
            self.is_removed = True

    def settle(self, turns: int = 12) -> "Stage":
        """Let it run a while."""
        for _ in range(turns):
            self.turn()
            self.fleet.now_s += 1.0
            self.fleet.progress()
        self.turn()
        return self

    def condition(self, kind: str) -> Condition:
        """The condition of that type."""
        found = self.deployment.observed.condition(kind)
        assert found is not None
        return found


def test_a_new_deployment_is_prepared_before_anything_is_started() -> None:
    assert Stage().turn() == [Prepare(SPEC.template)]


def test_a_prepared_deployment_starts_all_its_replicas_and_becomes_ready() -> None:
    stage = Stage()
    stage.want(replicas=3)
    assert stage.settle().deployment.is_ready
    assert (len(stage.fleet.workers), stage.fleet.launched) == (3, 3)


def test_nothing_is_done_when_all_is_as_wanted() -> None:
    stage = Stage().settle()
    assert stage.turn() == []


def test_a_killed_replica_is_replaced_at_once_and_its_end_is_told() -> None:
    stage = Stage().settle()
    stage.fleet.die("w0")
    assert stage.turn() == [Forget("w0"), Start(SPEC.template)]
    assert stage.condition("Healthy").reason == "WorkerDied"
    assert "SIGKILL" in stage.condition("Healthy").message


def test_a_replica_that_dies_as_soon_as_it_serves_is_tried_again_later_and_later() -> None:
    stage = Stage()
    tries = []
    for _ in range(60):
        tries += [stage.fleet.now_s for action in stage.turn() if isinstance(action, Start)]
        living = [w for w in stage.fleet.workers.values() if w.is_alive]
        if living and living[0].phase is WorkerPhase.READY:
            stage.fleet.die(living[0].name)
        stage.fleet.progress()
        stage.fleet.now_s += 0.5
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert gaps[-1] > 2 * gaps[0]


def test_replicas_that_are_killed_while_they_come_up_are_replaced_at_once_and_only_at_the_third_time_later() -> None:
    stage = Stage()
    stage.turn()
    stage.turn()
    for number in range(2):
        stage.fleet.die(f"w{number}")
        assert Start(SPEC.template) in stage.turn()
    stage.fleet.die("w2")
    assert stage.turn() == [Forget("w2")]


def waited_s(stage: Stage, **end: str) -> list[float]:
    """How long it waits before each of nine starts, when every replica ends so while it comes up."""
    waits = []
    for _ in range(9):
        began_s = stage.fleet.now_s
        while not any(isinstance(action, Start) for action in stage.turn()):
            stage.fleet.now_s += 0.5
        waits.append(stage.fleet.now_s - began_s)
        stage.fleet.die(next(w.name for w in stage.fleet.workers.values() if w.is_alive), **end)
    return waits


def test_however_often_a_replica_is_killed_from_outside_the_next_is_tried_within_seconds() -> None:
    assert waited_s(Stage())[-1] == MOST_KILLED_BACK_OFF_S


@pytest.mark.parametrize("end", [{"ending": "was killed by SIGSEGV"}, {"cause": "no", "code": "engine_error"}])
def test_what_dies_of_itself_again_and_again_is_given_longer_and_longer(end: dict[str, str]) -> None:
    assert waited_s(Stage(), **end)[-1] == MOST_BACK_OFF_S


def test_an_engine_that_says_why_it_cannot_start_is_not_tried_again_at_once() -> None:
    stage = Stage()
    stage.turn()
    stage.turn()
    stage.fleet.die("w0", cause="no such kernel", code="engine_error")
    assert stage.turn() == [Forget("w0")]


def test_a_replica_that_served_a_while_is_replaced_at_once_however_often() -> None:
    stage = Stage()
    for number in range(5):
        stage.settle()
        stage.fleet.die(f"w{number}")
        assert Start(SPEC.template) in stage.turn()


def test_an_engine_that_dies_on_start_is_told_with_its_cause_and_last_words() -> None:
    stage = Stage()
    stage.turn()
    stage.turn()
    stage.fleet.die("w0", cause="no such kernel", code="engine_error")
    stage.turn()
    ready = stage.condition("Ready")
    assert (stage.deployment.observed.phase, ready.reason) == (Phase.FAILED, "EngineFailed")
    assert "no such kernel" in ready.message
    assert ready.last_words == ("its last line",)


def test_a_failed_start_is_tried_again_later_and_later() -> None:
    stage = Stage()
    stage.turn()
    tries = []
    for _ in range(40):
        if any(isinstance(action, Start) for action in stage.turn()):
            tries.append(stage.fleet.now_s)
            stage.fleet.die(f"w{stage.fleet.launched - 1}", cause="broken", code="engine_error")
        stage.fleet.now_s += 1.0
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 8


def test_back_off_doubles_up_to_a_minute() -> None:
    assert [back_off_s(n) for n in (1, 2, 3, 7, 500)] == [1.0, 2.0, 4.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(NotFound("/x has no *.safetensors"), "ModelNotFound"), (NotEnoughMemory("9 GiB, 1 GiB"), "NotEnoughMemory")],
)
def test_a_failed_preparation_names_its_cause(error: TokenForgeError, reason: str) -> None:
    stage = Stage()
    stage.turn(error=error)
    stage.turn(error=error)
    assert stage.deployment.observed.phase is Phase.FAILED
    for kind in ("Ready", "Prepared", "Healthy"):
        assert stage.condition(kind).reason == reason
        assert error.message in stage.condition(kind).message


def test_one_failed_preparation_counts_once() -> None:
    stage = Stage()
    for _ in range(4):
        stage.turn(error=NotFound("gone"))
    assert stage.deployment.observed.failures == 1


def test_a_changed_spec_is_tried_at_once_whatever_failed_before() -> None:
    stage = Stage()
    for _ in range(3):
        stage.turn(error=NotFound("gone"))
    stage.want(revision="2")
    assert any(isinstance(action, Prepare) for action in stage.turn())


def test_a_new_revision_serves_before_the_old_one_is_stopped() -> None:
    stage = Stage().settle()
    stage.want(revision="2")
    while not any(isinstance(action, Stop) for action in stage.turn()):
        assert stage.fleet.workers["w0"].is_alive
        assert not stage.deployment.is_ready or stage.deployment.observed.generation == 2
        stage.fleet.progress()
    assert stage.fleet.workers["w1"].phase is WorkerPhase.READY
    assert stage.settle().deployment.is_ready
    assert list(stage.fleet.workers) == ["w1"]


def test_while_a_new_revision_comes_up_the_deployment_says_so() -> None:
    stage = Stage().settle()
    stage.want(revision="2")
    stage.turn()
    stage.turn()
    assert (stage.deployment.observed.phase, stage.condition("Ready").reason) == (Phase.DEGRADED, "Updating")


def test_fewer_replicas_stop_the_youngest() -> None:
    stage = Stage()
    stage.settle()
    stage.fleet.now_s += 5
    stage.want(replicas=2)
    stage.settle()
    stage.want(replicas=1)
    assert stage.turn() == [Stop("w1")]


def test_no_replicas_wanted_is_stopped_and_not_a_failure() -> None:
    stage = Stage().settle()
    stage.want(replicas=0)
    assert stage.settle().deployment.observed.phase is Phase.STOPPED
    assert not stage.fleet.workers
    stage.want(replicas=1)
    assert stage.settle().deployment.is_ready


def test_a_deleted_deployment_stops_its_workers_then_is_removed() -> None:
    stage = Stage().settle()
    stage.deployment = replace(stage.deployment, is_deleting=True)
    assert stage.turn() == [Stop("w0")]
    assert not stage.is_removed
    assert stage.settle().is_removed


def test_a_worker_that_does_not_drain_is_killed() -> None:
    stage = Stage().settle()
    stage.want(replicas=0)
    stage.turn()
    stage.fleet.now_s += World(sightings=(), preparation=None, now_s=0.0, now="").stop_limit_s + 1
    assert Stop("w0", is_forced=True) in stage.turn()


def test_a_worker_that_never_comes_up_is_killed_and_told() -> None:
    stage = Stage()
    stage.turn()
    stage.turn()
    stage.fleet.now_s += START_LIMIT_S + 1
    assert Stop("w0", is_forced=True) in stage.turn()
    assert stage.condition("Healthy").reason == "StartTimeout"


def test_failures_are_forgotten_after_a_calm_while() -> None:
    stage = Stage().settle()
    stage.fleet.die("w0")
    stage.settle()
    assert stage.deployment.observed.failures == 1
    stage.fleet.now_s += CALM_S
    stage.turn()
    assert stage.deployment.observed.failures == 0
    assert stage.condition("Healthy").is_true


def test_running_out_of_memory_is_named() -> None:
    stage = Stage().settle()
    stage.fleet.die("w0", cause="CUDA error: out of memory", code="engine_error")
    stage.turn()
    assert stage.condition("Healthy").reason == "OutOfMemory"


def test_a_condition_keeps_its_time_while_it_stays() -> None:
    stage = Stage().settle()
    since = stage.condition("Ready").since
    stage.turn()
    assert stage.condition("Ready").since == since == "t"


STEPS = st.sampled_from(["turn", "progress", "wait", "die", "scale", "revise", "fail"])


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=40), st.integers(0, 3))
def test_whatever_happens_phases_step_as_allowed_and_it_settles(steps: list[str], wanted: int) -> None:
    stage = Stage()
    for number, step in enumerate(steps):
        living = [name for name, worker in stage.fleet.workers.items() if worker.is_alive]
        if step == "die" and living:
            stage.fleet.die(living[number % len(living)])
        elif step == "scale":
            stage.want(replicas=number % 4)
        elif step == "revise":
            stage.want(revision=str(number))
        elif step == "progress":
            stage.fleet.progress()
        elif step == "wait":
            stage.fleet.now_s += 7.0
        else:
            stage.turn(error=NotFound("gone") if step == "fail" else None)
        most = stage.deployment.spec.replicas
        current = [
            w for w in stage.fleet.workers.values() if w.labels[TEMPLATE_LABEL] == stage.deployment.spec.template
        ]
        assert step not in ("turn", "fail") or sum(w.is_alive and w.stopping_since_s is None for w in current) <= most
    stage.want(replicas=wanted)
    stage.settle(turns=150)
    assert stage.deployment.is_ready or wanted == 0
    assert len(stage.fleet.workers) == wanted
    assert all(can_step(a, b) for a, b in zip(stage.phases, stage.phases[1:], strict=False))
