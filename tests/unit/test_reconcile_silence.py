"""Control's decision about workers that live and do not answer."""

from test_reconcile import Stage

from tokenforge.control.decision import SILENT_OUT_S, Start, Stop
from tokenforge.domain.deployment_state import Phase, ReplicaPhase

LIMIT_S = 30.0


def served(replicas: int = 2) -> Stage:
    """All have served a while."""
    stage = Stage()
    stage.want(replicas=replicas)
    return stage.settle()


def phases(stage: Stage) -> dict[str, ReplicaPhase]:
    return {replica.id: replica.phase for replica in stage.deployment.observed.replicas}


def test_one_late_answer_is_no_silence() -> None:
    stage = served()
    stage.silent_s = {"w0": SILENT_OUT_S - 1}
    assert stage.turn() == []
    assert stage.deployment.is_ready


def test_one_that_is_silent_gets_no_more_requests_and_the_condition_says_so() -> None:
    stage = served()
    stage.silent_s = {"w0": SILENT_OUT_S}
    assert stage.turn() == []
    assert phases(stage) == {"w0": ReplicaPhase.SILENT, "w1": ReplicaPhase.READY}
    assert stage.deployment.observed.phase is Phase.DEGRADED
    assert stage.condition("Healthy").reason == "WorkerSilent"
    assert "w0" in stage.condition("Healthy").message


def test_one_that_answers_again_is_well_again() -> None:
    stage = served()
    stage.silent_s = {"w0": SILENT_OUT_S}
    stage.turn()
    stage.silent_s = {}
    assert stage.turn() == []
    assert stage.deployment.is_ready
    assert stage.condition("Healthy").is_true


def test_one_that_stays_silent_is_killed_and_replaced_at_once() -> None:
    stage = served()
    stage.silent_s = {"w0": LIMIT_S}
    assert stage.turn() == [Stop("w0", is_forced=True)]
    assert stage.condition("Healthy").reason == "WorkerHung"
    stage.silent_s = {}
    assert any(isinstance(action, Start) for action in stage.turn())
    assert stage.settle().deployment.is_ready
    assert stage.deployment.observed.failures <= 1


def test_of_too_many_the_silent_one_goes_first() -> None:
    stage = served()
    stage.silent_s = {"w0": SILENT_OUT_S}
    stage.want(replicas=1)
    assert Stop("w0") in stage.turn()


def test_a_silent_one_of_an_older_revision_is_killed_too() -> None:
    stage = served(1)
    stage.want(revision="2")
    stage.silent_s = {"w0": LIMIT_S}
    assert Stop("w0", is_forced=True) in stage.turn()
