"""`target: kubernetes` as a user has it: deploy, infer, change under load, delete. Pods are real workers.

The API server is a twin, and with --kubeconfig also a real one.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cluster_rig import Cluster, cluster
from platform_rig import Up, up, wait_for
from stream_load import streams_during

CLIENTS = 4
PACE = {"drain_s": 10, "leave_s": 1, "start_s": 60}
HASTY = {"drain_s": 0, "leave_s": 0, "start_s": 60}


@pytest.fixture(params=["twin", "real"])
def platform(
    request: pytest.FixtureRequest, tmp_path: Path, home: Path, kubeconfig: Path | None
) -> Iterator[tuple[Up, Cluster]]:
    pace = getattr(request.node.get_closest_marker("pace"), "args", (PACE,))[0]
    if request.param == "real" and kubeconfig is None:
        pytest.skip("no cluster was given: --kubeconfig, or make test-k8s")
    with ExitStack() as stack:
        where = kubeconfig if request.param == "real" else None
        there = stack.enter_context(cluster(tmp_path / "cluster", home, kubeconfig=where, site={"pace": pace}))
        yield stack.enter_context(up(tmp_path / "home", **there.settings)), there


def deploy(platform: Up, there: Cluster, *more: str) -> None:
    done = platform.run(
        "deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny", "--target", "kubernetes",
        "--engine-arg", "step_ms=5", *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + str(there.pods())


def test_it_is_deployed_changed_under_load_without_a_lost_stream_and_deleted(
    platform: tuple[Up, Cluster],
) -> None:
    here, there = platform
    deploy(here, there)
    status, answer = here.call("POST", "/infer", {"model": "synthetic:tiny", "prompt": "hello", "max_tokens": 8})
    assert (status, answer["usage"]["completion_tokens"]) == (200, 8)
    logs = here.run("logs", "tiny").stdout
    assert f"kubectl logs {there.pods()[0]}" in logs
    streams = change_under_load(here, there)
    assert len(streams) > 2 * CLIENTS
    assert all(streams)
    assert here.run("delete", "tiny").returncode == 0
    wait_for(lambda: not there.pods(), limit_s=60)


@pytest.mark.pace(HASTY)
def test_at_zero_a_request_is_held_until_a_pod_serves_it_and_zero_comes_again(platform: tuple[Up, Cluster]) -> None:
    here, there = platform
    deploy(here, there, "--replicas", "0", "--autoscale", "min=0,max=2,target=2,idle_s=2,down_after_s=2")
    assert (_status(here), there.pods()) == ("idle", [])
    status, answer = here.call("POST", "/infer", {"model": "synthetic:tiny", "prompt": "hello", "max_tokens": 8})
    assert (status, answer["usage"]["completion_tokens"]) == (200, 8)
    wait_for(lambda: _status(here) == "idle" and not there.pods(), limit_s=60)
    events = here.run("logs", "tiny", "--events").stdout
    assert "waiting for no replica: 0 -> 1" in events
    assert "ScaledToZero: Scaled: no request for 2 s" in events


@pytest.mark.pace(HASTY)
def test_without_draining_the_same_change_cuts_streams_and_a_crash_is_told(
    platform: tuple[Up, Cluster],
) -> None:
    here, there = platform
    deploy(here, there)
    assert not all(change_under_load(here, there))
    dying = here.call("PATCH", "/deployments/tiny", {"engine_args": {"die_after_s": 0.2}})
    assert dying[0] == 202
    wait_for(lambda: _reason(here) == "WorkerDied", limit_s=60)
    condition = next(c for c in here.call("GET", "/deployments/tiny")[1]["conditions"] if c["type"] == "Healthy")
    assert condition["last_words"][-1] in condition["message"]


def change_under_load(here: Up, there: Cluster) -> list[bool]:
    """Change the revision while clients stream; for each stream whether it was whole."""

    def change() -> None:
        before = set(there.pods())
        assert here.call("PATCH", "/deployments/tiny", {"revision": "2"})[0] == 202
        wait_for(lambda: not before & set(there.pods()), limit_s=120)
        assert here.call("GET", "/deployments/tiny")[1]["observed"]["generation"] == 2

    return streams_during(change, here.url, clients=CLIENTS)


def _status(here: Up) -> str:
    return str(here.call("GET", "/deployments/tiny")[1]["status"])


def _reason(here: Up) -> str:
    conditions = here.call("GET", "/deployments/tiny")[1]["conditions"]
    return next((str(c["reason"]) for c in conditions if c["type"] == "Healthy" and c["status"] == "False"), "")
