"""What a pod's status says: its phase, its address, its cause. Statuses are as kubelets and schedulers write them."""

from typing import Any

import pytest
from fleet_twin import INFO

from tokenforge.cluster.kubernetes.api import refusal_code
from tokenforge.cluster.kubernetes.pods import life_of, sighting_of, url_of, workload_cause
from tokenforge.cluster.manifests.names import DEPLOYMENT, TEMPLATE
from tokenforge.protocol.worker_spec import WorkerPhase

READY = [{"type": "Ready", "status": "True"}]
RUNNING = {"name": "worker", "state": {"running": {}}, "started": True, "ready": True, "restartCount": 0}


def pod(*, meta: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    labels = {DEPLOYMENT: "d1", TEMPLATE: "t1"}
    base = {"name": "p", "uid": "u", "labels": labels, "creationTimestamp": "2026-01-02T03:04:05Z"}
    return {
        "metadata": {**base, **(meta or {})},
        "spec": {},
        "status": {"phase": "Running", "podIP": "10.0.0.7", **status},
    }


def test_a_ready_pod_serves_once_its_engine_has_said_what_it_is() -> None:
    value = pod(conditions=READY, containerStatuses=[RUNNING])
    assert sighting_of(value, info=None, killing=None).phase is WorkerPhase.LOADING
    seen = sighting_of(value, info=INFO, killing=None)
    assert (seen.phase, seen.url, seen.cause) == (WorkerPhase.READY, "http://10.0.0.7:8000", None)
    assert seen.labels == {"deployment": "d1", "template": "t1"}


def test_an_address_of_six_parts_stands_in_brackets() -> None:
    assert url_of(pod(podIP="fd00::7")) == "http://[fd00::7]:8000"
    assert url_of(pod(podIP="")) == ""


def test_a_pod_whose_end_was_asked_for_drains_since_then() -> None:
    meta = {"deletionTimestamp": "2026-01-02T04:00:35Z", "deletionGracePeriodSeconds": 35}
    seen = sighting_of(pod(meta=meta, conditions=READY, containerStatuses=[RUNNING]), info=INFO, killing=None)
    assert seen.phase is WorkerPhase.DRAINING
    assert seen.stopping_since_s is not None
    assert seen.stopping_since_s - seen.launched_at_s == 55 * 60 + 55


def test_a_pod_that_nobody_has_told_anything_of_is_starting() -> None:
    bare = {"metadata": {"name": "p", "uid": "u"}, "spec": {}}
    seen = sighting_of(bare, info=None, killing=None)
    assert (seen.phase, seen.cause, seen.url, seen.is_alive) == (WorkerPhase.STARTING, None, "", True)


def test_an_evicted_pod_is_dead_and_says_why() -> None:
    value = pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage")
    seen = sighting_of(value, info=None, killing=None)
    assert not seen.is_alive
    assert (seen.code, seen.cause) == ("pod_failed", "The node was low on resource: ephemeral-storage")


def test_another_life_begins_with_a_restart() -> None:
    restarted = pod(containerStatuses=[{**RUNNING, "restartCount": 1}])
    assert life_of(restarted) != life_of(pod(containerStatuses=[RUNNING]))


def test_a_worker_that_loads_has_no_cause() -> None:
    loading = {**RUNNING, "started": False, "ready": False}
    seen = sighting_of(pod(containerStatuses=[loading]), info=None, killing=None)
    assert (seen.phase, seen.cause) == (WorkerPhase.LOADING, None)


def test_a_worker_that_served_and_answers_no_more_is_told() -> None:
    silent = {**RUNNING, "ready": False}
    assert sighting_of(pod(containerStatuses=[silent]), info=INFO, killing=None).code == "probe_failed"


def test_a_crash_is_told_with_the_last_line_and_all_of_the_last_ones() -> None:
    ended = {"exitCode": 139, "reason": "Error", "message": "one\n\ntwo\nSegmentation fault\n"}
    status = {
        "name": "worker",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    seen = sighting_of(pod(containerStatuses=[status]), info=None, killing=None)
    assert (seen.code, seen.cause) == ("crashed", "worker exited with status 139: Segmentation fault")
    assert seen.last_words == ("one", "two", "Segmentation fault")


def test_a_first_failure_is_told_before_its_first_restart() -> None:
    status = {"name": "worker", "state": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no"}}}
    assert sighting_of(pod(containerStatuses=[status]), info=None, killing=None).code == "crashed"


def test_a_container_that_ended_well_is_no_cause() -> None:
    done = {"name": "model", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    assert sighting_of(pod(initContainerStatuses=[done]), info=None, killing=None).cause is None


def test_a_crash_that_is_over_is_not_told_any_more() -> None:
    ended = {"exitCode": 1, "reason": "Error", "message": "no"}
    well = {**RUNNING, "restartCount": 1, "lastState": {"terminated": ended}}
    assert sighting_of(pod(conditions=READY, containerStatuses=[well]), info=INFO, killing=None).cause is None


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (403, 'pods "x" is forbidden: exceeded quota: q, requested: pods=1', "quota_exceeded"),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": ...', "admission_refused"),
        (400, 'admission webhook "w" denied the request: no', "admission_refused"),
        (403, 'deployments.apps is forbidden: User "u" cannot patch resource', "cluster_forbidden"),
        (409, "Apply failed with 1 conflict", "conflict"),
        (422, 'Deployment.apps "x" is invalid: spec', "invalid_input"),
        (418, "?", "teapot"),
    ],
)
def test_why_a_server_says_no_is_one_word(status: int, message: str, code: str) -> None:
    assert refusal_code(status, message, reason="Teapot") == code


def test_a_workload_whose_pods_cannot_be_made_says_why() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}
    assert workload_cause({"metadata": {}, "status": {"conditions": [failure]}}) == (
        "quota_exceeded",
        "exceeded quota: q",
    )
    assert workload_cause({"metadata": {}}) is None
