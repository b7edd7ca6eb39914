"""The platform on a real node, from `make deploy-k8s` to `make undeploy-k8s`: containers, kubelet, services, images.

`make test-node` runs it, in the order that it stands in: one platform for all tests.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from node_rig import HASTY, MADE, PACE, WORKER, OnCluster
from platform_rig import Up, wait_for
from stream_load import streams_during

from servers.postgres import Postgres

pytestmark = pytest.mark.node

CLIENTS = 4
SIM = ("synthetic:tiny", "--runtime", "sim", "--name", "tiny", "--engine-arg", "step_ms=5")
SMALL = 'resources={"cpu": 0.2, "memory": "1Gi"}'
TORCH = 'resources={"cpu": 0.6, "memory": "3Gi"}'


@pytest.fixture(scope="module")
def cluster(kubeconfig: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnCluster]:
    address = os.environ.get("TOKENFORGE_NODE_ADDRESS")
    assert kubeconfig is not None, "these tests run on a node: make test-node"
    assert address is not None, "these tests run on the node itself: make test-node"
    with TemporaryDirectory(prefix="tokenforge-postgres-") as place:
        Path(place).chmod(0o755)  # PostgreSQL's user has to come through
        database = Postgres(folder=Path(place) / "server", is_durable=False, address=address)
        database.start()
        try:
            yield OnCluster(kubeconfig, tmp_path_factory.mktemp("node"), database.make_database("tokenforge"))
        finally:
            database.stop("immediate")


@pytest.fixture
def platform(cluster: OnCluster) -> Up:
    assert cluster.up is not None, "make deploy-k8s did not come to its end"
    return cluster.up


def test_it_is_not_put_there_before_its_database_is_named(cluster: OnCluster) -> None:
    done = cluster.make("deploy-k8s", str(cluster.overlay(PACE)))
    assert done.returncode != 0
    assert "kubectl --namespace tokenforge create secret generic tokenforge-database" in done.stderr
    assert cluster.items("deployments") == []


def test_objects_that_the_cluster_does_not_know_are_named_before_any_is_made(cluster: OnCluster) -> None:
    done = cluster.make("deploy-k8s")
    assert done.returncode != 0
    assert "does not serve policy/v1" in done.stderr
    assert "before-1.21" in done.stderr


def test_it_is_put_there_and_says_its_address(cluster: OnCluster, show: Callable[[str], None]) -> None:
    url = f"--from-literal=url={cluster.database_url}"
    cluster.kubectl("create", "secret", "generic", "tokenforge-database", url)
    began_s = time.monotonic()
    printed = cluster.deploy(PACE)
    show(f"make deploy-k8s: {time.monotonic() - began_s:.0f} s")
    assert printed.splitlines()[-1] == "http://tokenforge-gateway.tokenforge.svc.cluster.local"
    assert cluster.up is not None
    assert cluster.up.call("GET", "/health/ready")[0] == 200
    ready = [status["ready"] for pod in cluster.items("pods") for status in pod["status"]["containerStatuses"]]
    assert ready == [True] * 4, cluster.story()


def test_sim_is_deployed_to_a_pod_that_serves_tokens(
    cluster: OnCluster, platform: Up, show: Callable[[str], None]
) -> None:
    show(f"sim: served {deploy(cluster, platform, *SIM, '--set', SMALL):.1f} s after it was asked for")
    assert infer(platform, "synthetic:tiny") == (200, 8)
    (pod,) = cluster.items("pods", WORKER)
    assert pod["spec"]["nodeName"] == "node"
    (container,) = pod["status"]["containerStatuses"]
    assert container["containerID"].removeprefix("containerd://") in cluster.containers()


def test_a_change_and_a_smaller_number_of_replicas_lose_no_request(
    cluster: OnCluster, platform: Up, show: Callable[[str], None]
) -> None:
    streams = streams_during(lambda: change(cluster, platform), platform.url, clients=CLIENTS, headers=platform.headers)
    show(f"rolling update: {len(streams)} streams, {streams.count(False)} failed")
    assert len(streams) > 2 * CLIENTS
    assert all(streams)
    scale(cluster, platform, 2)
    streams = streams_during(
        lambda: scale(cluster, platform, 1), platform.url, clients=CLIENTS, headers=platform.headers
    )
    show(f"from two replicas to one: {len(streams)} streams, {streams.count(False)} failed")
    assert len(streams) > 2 * CLIENTS
    assert all(streams)


def test_new_gateways_lose_no_request(cluster: OnCluster, platform: Up, show: Callable[[str], None]) -> None:
    def restart() -> None:
        cluster.kubectl("rollout", "restart", "deployment/tokenforge-gateway")
        cluster.kubectl("rollout", "status", "deployment/tokenforge-gateway", "--timeout=180s")

    streams = streams_during(restart, platform.url, clients=CLIENTS, headers=platform.headers)
    show(f"new gateways: {len(streams)} streams, {streams.count(False)} failed")
    assert len(streams) > 2 * CLIENTS
    assert all(streams)


def test_transformers_serves_tokens_from_its_own_image(
    cluster: OnCluster, platform: Up, show: Callable[[str], None]
) -> None:
    words = ("synthetic:successor", "--runtime", "transformers", "--name", "torch", "--set", TORCH)
    show(f"transformers: served {deploy(cluster, platform, *words):.1f} s after it was asked for")
    assert infer(platform, "synthetic:successor") == (200, 8)
    images = {pod["spec"]["containers"][0]["image"].partition(":")[0] for pod in cluster.items("pods", WORKER)}
    assert images == {"tokenforge-sim", "tokenforge-transformers"}


def test_a_container_that_takes_too_much_memory_or_ends_is_told(platform: Up) -> None:
    assert platform.call("PATCH", "/deployments/torch", {"resources": {"cpu": 0.6, "memory": "48Mi"}})[0] == 202
    wait_for(lambda: reason(platform, "torch") == "OutOfMemory", limit_s=180)
    assert platform.call("PATCH", "/deployments/tiny", {"engine_args": {"die_after_s": 0.2}})[0] == 202
    wait_for(lambda: reason(platform, "tiny") == "WorkerDied", limit_s=120)
    healthy = next(c for c in platform.call("GET", "/deployments/tiny")[1]["conditions"] if c["type"] == "Healthy")
    assert healthy["last_words"][-1] in healthy["message"]


def test_delete_leaves_nothing(cluster: OnCluster, platform: Up, show: Callable[[str], None]) -> None:
    for name in ("torch", "tiny"):
        done = platform.run("delete", name, timeout_s=200)
        assert done.returncode == 0, done.stderr
    waited_s = wait_for(lambda: not cluster.items(MADE, WORKER), limit_s=120)
    show(f"deleted: no object {waited_s:.1f} s after the command's end")
    assert platform.call("GET", "/deployments")[1] == {"deployments": []}
    # What is left are two gateways and two controls, each a container and its pause.
    wait_for(lambda: len(cluster.containers()) == 8, limit_s=60)


def test_without_leaving_and_draining_the_same_change_fails_requests(
    cluster: OnCluster, show: Callable[[str], None]
) -> None:
    cluster.deploy(HASTY)
    assert cluster.up is not None
    deploy(cluster, cluster.up, *SIM, "--set", SMALL)
    here = cluster.up
    streams = streams_during(lambda: change(cluster, here), here.url, clients=CLIENTS, headers=here.headers)
    show(f"without leaving and draining: {len(streams)} streams, {streams.count(False)} failed")
    assert not all(streams)


def test_it_is_taken_away_with_all_that_it_deployed(cluster: OnCluster) -> None:
    done = cluster.make("undeploy-k8s")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: left(cluster) == ["kube-root-ca.crt"], limit_s=120)
    assert cluster.kubectl("get", "secret", "tokenforge-database", "-o", "name") == "secret/tokenforge-database\n"
    done = cluster.make("undeploy-k8s", "--all")
    assert done.returncode == 0, done.stderr
    assert "NotFound" in cluster.complaint("get", "namespace", "tokenforge")


def deploy(cluster: OnCluster, platform: Up, *words: str) -> float:
    """Deploy it on the cluster; the seconds until it served."""
    began_s = time.monotonic()
    done = platform.run("deploy", *words, "--target", "kubernetes", timeout_s=300)
    assert done.returncode == 0, done.stdout + done.stderr + cluster.story()
    return time.monotonic() - began_s


def infer(platform: Up, model: str) -> tuple[int, int]:
    """Status and tokens of one answer."""
    status, answer = platform.call("POST", "/infer", {"model": model, "prompt": "hello", "max_tokens": 8})
    assert status == 200, answer
    return status, answer["usage"]["completion_tokens"]


def change(cluster: OnCluster, platform: Up) -> None:
    """Another revision; until no pod of the one before is left."""
    before = set(cluster.workers())
    assert platform.call("PATCH", "/deployments/tiny", {"revision": "2"})[0] == 202
    wait_for(lambda: not before & set(cluster.workers()), limit_s=180)


def scale(cluster: OnCluster, platform: Up, replicas: int) -> None:
    """Another number of replicas; until so many are there and serve."""

    def is_so() -> bool:
        seen = platform.call("GET", "/deployments/tiny")[1]["observed"]["replicas"]
        ready = [replica for replica in seen if replica["phase"] == "ready"]
        return len(cluster.workers()) == len(ready) == replicas

    assert platform.call("PATCH", "/deployments/tiny", {"replicas": replicas})[0] == 202
    wait_for(is_so, limit_s=180)


def reason(platform: Up, name: str) -> str:
    """Why it is not healthy."""
    conditions = platform.call("GET", f"/deployments/{name}")[1]["conditions"]
    return next((str(c["reason"]) for c in conditions if c["type"] == "Healthy" and c["status"] == "False"), "")


def left(cluster: OnCluster) -> list[str]:
    """Names of what is there of the kinds that the platform makes."""
    return [item["metadata"]["name"] for item in cluster.items(MADE)]
