"""Control's decision with autoscale: the demand's number of replicas, what is said of it, what gateways may rely on."""

from dataclasses import replace

from test_reconcile import SPEC, Stage

from tokenforge.control.decision import Start, Stop
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Autoscale
from tokenforge.domain.deployment_state import Phase, ReplicaPhase

RULE = Autoscale(min=0, max=3, target=2, down_after_s=5, idle_s=10)
QUIET = Demand(idle_s=1_000.0)


def scaled(**changes: object) -> Stage:
    stage = Stage()
    stage.want(autoscale=replace(RULE, **changes))  # type: ignore[arg-type]
    return stage


def alive(stage: Stage) -> int:
    return sum(w.is_alive and w.stopping_since_s is None for w in stage.fleet.workers.values())


def test_it_begins_with_the_replicas_of_the_spec() -> None:
    stage = scaled().settle()
    assert (alive(stage), stage.condition("Scaled").message) == (1, "1 to begin with")


def test_demand_starts_replicas_and_the_condition_says_why() -> None:
    stage = scaled().settle()
    stage.demand = Demand(in_flight=4, waiting=2)
    assert [type(action) for action in stage.turn()] == [Start, Start]
    condition = stage.condition("Scaled")
    assert (condition.reason, condition.message) == ("ScaledUp", "2 waiting and 4 in flight for 1 replica: 1 -> 3")
    assert stage.settle().deployment.is_ready


def test_the_spec_stays_as_the_user_wrote_it() -> None:
    stage = scaled()
    spec, generation = stage.deployment.spec, stage.deployment.generation
    stage.demand = Demand(in_flight=6)
    stage.settle()
    assert (stage.deployment.spec, stage.deployment.generation) == (spec, generation)
    assert stage.deployment.wanted == 3


def test_without_demand_it_goes_idle_and_is_well() -> None:
    stage = scaled().settle()
    stage.demand = QUIET
    stage.settle(20)
    assert (alive(stage), stage.deployment.observed.phase) == (0, Phase.IDLE)
    assert stage.condition("Ready").reason == "Idle"
    assert stage.condition("Healthy").is_true


def test_a_request_wakes_it() -> None:
    stage = scaled()
    stage.demand = QUIET
    stage.settle(30)
    stage.demand = Demand(waiting=1, idle_s=0.0)
    assert any(isinstance(action, Start) for action in stage.turn())
    assert stage.deployment.observed.phase is Phase.STARTING
    assert stage.settle().deployment.is_ready


def test_one_that_is_to_end_is_said_to_drain_before_it_is_told() -> None:
    stage = scaled().settle()
    stage.demand = QUIET
    while not (stops := [action for action in stage.turn() if isinstance(action, Stop)]):
        stage.fleet.now_s += 1.0
    phases = {replica.id: replica.phase for replica in stage.deployment.observed.replicas}
    assert [phases[stop.name] for stop in stops] == [ReplicaPhase.DRAINING]


def test_a_new_control_goes_on_where_the_last_one_was() -> None:
    stage = scaled().settle()
    stage.demand = Demand(in_flight=6)
    stage.settle()
    stage.demand = None
    assert (stage.settle().deployment.wanted, alive(stage)) == (3, 3)


def test_a_new_revision_while_idle_starts_nothing() -> None:
    stage = scaled()
    stage.demand = QUIET
    stage.settle(30)
    stage.want(revision="2")
    assert (stage.turn(), stage.deployment.observed.generation) == ([], stage.deployment.generation)


def test_turned_off_it_has_the_number_of_the_spec_again() -> None:
    stage = scaled()
    stage.demand = Demand(in_flight=6)
    stage.settle()
    stage.want(autoscale=None)
    stage.settle()
    assert (alive(stage), stage.deployment.observed.scaling) == (SPEC.replicas, None)


def test_a_failing_one_is_tried_on_and_said_to_fail_while_it_is_asked_for() -> None:
    stage = scaled()
    stage.demand = Demand(waiting=1)
    stage.turn()
    stage.turn()
    stage.fleet.die("w0", cause="no such kernel", code="engine_error")
    stage.turn()
    assert stage.deployment.observed.phase is Phase.FAILED
    assert "no such kernel" in stage.condition("Ready").message


def test_beside_others_it_has_what_is_left_and_says_so() -> None:
    stage = Stage(most=1)
    stage.want(replicas=3)
    stage.settle()
    assert (alive(stage), stage.deployment.is_ready) == (1, False)
    assert "1 of 3 replicas serve; no more may run beside" in stage.condition("Ready").message


def test_demand_brings_no_more_than_is_left() -> None:
    stage = scaled()
    stage.most = 2
    stage.demand = Demand(in_flight=6)
    assert (stage.settle().deployment.wanted, alive(stage)) == (2, 2)
    assert "1 -> 2; no more may run beside" in stage.condition("Scaled").message
    assert stage.deployment.is_ready
