"""A trial offered by pods: the same plan as by processes here, the same records; a lost pod never goes unseen.

Pods are real processes of a twin's node; what goes between them lies in a real S3 server.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from driver_jobs import closed_plan, drive_job, open_plan
from driver_truth import truth_server
from hollow_node import HollowNode
from kube_controllers import Controllers
from kube_server import KubeServer
from kube_store import KubeStore
from placement_rigs import write_kubeconfig
from process_node import ProcessNode
from s3_rig import S3

from tokenforge.bench.cluster.drivers import ClusterDrivers
from tokenforge.bench.cluster.pods import DriverPods
from tokenforge.bench.driver.job import DriveJob, DriveResult, DriverFailed, DriverLost, Progress
from tokenforge.bench.driver.offer import journal_paths, offer
from tokenforge.bench.journal import read_journal
from tokenforge.cli.driver_pod import shelf_name
from tokenforge.cluster.kubernetes.api import Api, connect
from tokenforge.cluster.manifests.site import Site
from tokenforge.domain.errors import ClusterRefused
from tokenforge.domain.record import Outcome
from tokenforge.domain.workload import Arrival
from tokenforge.store.blobs.opening import open_shelf

PODS = 3
FAST = ("--ttft-us", "20000", "--itl-us", "5000")


@dataclass(slots=True)
class Stage:
    """Drivers on a cluster of one node of processes."""

    drivers: ClusterDrivers
    server: KubeServer
    node: ProcessNode
    api: Api

    def pids(self) -> list[int]:
        """Of the pods that live."""
        pods = self.node._pods.values()
        return [p.process.pid for p in pods if p.process is not None and p.process.returncode is None]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_so():  # noqa: ASYNC110 - told by nobody
                await asyncio.sleep(0.02)

    def left(self) -> list[str]:
        """Jobs and pods that are there."""
        kinds = ("batch/v1/jobs", "v1/pods")
        return [key[2] for kind in kinds for key, _ in self.server.store.list(kind, None)]


@pytest.fixture
async def stage(tmp_path: Path, rclone: S3) -> AsyncIterator[Stage]:
    server = KubeServer(KubeStore())
    await server.start()
    controlling = asyncio.create_task(Controllers(server.store).run())
    api, _ = connect(write_kubeconfig(tmp_path / "kubeconfig", server.url))
    site, url = Site(), rclone.url(prefix=tmp_path.name)
    secret = {
        "url": url, "access_key_id": rclone.env["AWS_ACCESS_KEY_ID"],
        "secret_access_key": rclone.env["AWS_SECRET_ACCESS_KEY"],
    }  # fmt: skip
    (folder := tmp_path / "node").mkdir()
    hollow = HollowNode(api=api, namespace=site.namespace)
    node = ProcessNode(hollow, tmp_path / "home", folder, secrets={site.artifacts: secret})
    living = asyncio.create_task(node.run())
    names = iter(f"tf-drivers-{number}" for number in range(100))
    drivers = ClusterDrivers(
        pods=DriverPods(api=api, site=site),
        shelf_of=lambda name: open_shelf(url, env=rclone.env, folder=shelf_name(name)),
        new_name=lambda: next(names),
    )  # fmt: skip
    yield Stage(drivers, server, node, api)
    for task in (living, controlling):
        task.cancel()
    await asyncio.gather(living, controlling, return_exceptions=True)
    await api.close()
    await server.stop()


def shares(job: DriveJob) -> list[list[int]]:
    """The requests that each journal holds."""
    return [sorted(r.index for r in read_journal(path)) for path in journal_paths(job.folder, job.plan.trial)]


async def test_the_same_plan_by_processes_and_by_pods_is_the_same_plan_whole(stage: Stage, tmp_path: Path) -> None:
    plan = open_plan(90, rate=60, arrival=Arrival.POISSON)
    results: list[tuple[DriveJob, DriveResult]] = []
    with truth_server(tmp_path, *FAST) as server:
        for by, name in ((offer, "here"), (stage.drivers, "there")):
            job = drive_job(server.url, plan, tmp_path / name, processes=PODS)
            results.append((job, await by(job)))
        truth = server.stop()
    here, there = (result for _, result in results)
    assert shares(results[0][0]) == shares(results[1][0])
    for result in (here, there):
        assert [r.index for r in result.records] == [r.index for r in plan.requests]
        assert [r.scheduled_ns for r in result.records] == [r.at_ns for r in plan.requests]
        assert {(r.outcome, r.counted_tokens) for r in result.records} == {(Outcome.OK, 4)}
        assert (result.reading.processes, result.reading.sent, result.reading.stopped_early) == (PODS, 90, None)
    assert sorted(answer.prompt for answer in truth) == sorted([*range(90), *range(90)])
    assert "offered by 3 pods on hollow-1" in there.notes[0]
    assert here.notes == ()


async def test_pods_begin_together_by_the_server_s_own_clock(stage: Stage, tmp_path: Path) -> None:
    plan = open_plan(60, rate=40)
    with truth_server(tmp_path, *FAST) as server:
        result = await stage.drivers(drive_job(server.url, plan, tmp_path, processes=PODS))
        truth = {answer.prompt: answer for answer in server.stop()}
    began = [truth[r.index].arrival_ns - (r.sent_ns or 0) for r in result.records]
    by_pod = [sorted(began[pod::PODS])[len(began[pod::PODS]) // 2] for pod in range(PODS)]
    told_ms = float(result.notes[0].partition("within ")[2].partition(" ms")[0])
    assert (max(by_pod) - min(by_pod)) / 1e6 <= told_ms + 2.0, "arrivals say more than the bound that was told"


async def test_clients_of_a_closed_loop_are_dealt_to_pods(stage: Stage, tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST) as server:
        result = await stage.drivers(drive_job(server.url, closed_plan(18, clients=3), tmp_path, processes=PODS))
    assert [record.index for record in result.records] == list(range(18))


async def test_nothing_is_left_of_it_on_cluster_or_shelf(stage: Stage, tmp_path: Path, rclone: S3) -> None:
    with truth_server(tmp_path, *FAST) as server:
        await stage.drivers(drive_job(server.url, open_plan(6, rate=50), tmp_path, processes=2))
    await stage.until(lambda: not stage.left())
    assert rclone.root is not None
    assert [path for path in rclone.root.rglob(f"{tmp_path.name}/drivers/*/*") if path.is_file()] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_pod_that_is_lost_is_told_and_what_the_others_brought_is_kept(
    stage: Stage, tmp_path: Path, number: signal.Signals
) -> None:
    job = replace(drive_job("http://127.0.0.1:1", open_plan(3_000, rate=100), tmp_path, processes=PODS))
    with truth_server(tmp_path, *FAST) as server:
        seen: list[Progress] = []
        offering = asyncio.create_task(stage.drivers(replace(job, url=server.url), on_progress=seen.append))
        await stage.until(lambda: any(progress.finished > 50 for progress in seen))
        os.kill(stage.pids()[0], number)
        with pytest.raises(DriverLost, match="driver pod") as caught:
            await offering
    assert caught.value.code == "driver_lost"
    assert len(journal_paths(tmp_path, job.plan.trial)) >= PODS - 1
    await stage.until(lambda: not stage.left())
    assert stage.pids() == []


async def test_a_pod_that_is_deleted_is_lost(stage: Stage, tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST) as server:
        job = drive_job(server.url, open_plan(3_000, rate=100), tmp_path, processes=2)
        seen: list[Progress] = []
        offering = asyncio.create_task(stage.drivers(job, on_progress=seen.append))
        await stage.until(lambda: any(progress.finished > 20 for progress in seen))
        (key, _), *_ = stage.server.store.list("v1/pods", None)
        await stage.api.delete(f"/api/v1/namespaces/{key[1]}/pods/{key[2]}")
        with pytest.raises(DriverLost, match=r"driver pod tf-drivers-0-\d-.* was (deleted|asked to end|ended before)"):
            await offering


async def test_an_api_server_that_is_away_meanwhile_disturbs_no_trial(stage: Stage, tmp_path: Path) -> None:
    with truth_server(tmp_path, *FAST) as server:
        job = drive_job(server.url, open_plan(150, rate=50), tmp_path, processes=2)
        seen: list[Progress] = []
        offering = asyncio.create_task(stage.drivers(job, on_progress=seen.append))
        await stage.until(lambda: any(progress.finished > 10 for progress in seen))
        await stage.server.stop()
        result = await offering
    assert len(result.recorded) == 150
    await stage.server.start()


async def test_a_pod_of_another_version_offers_nothing(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenforge.bench.cluster.drivers.__version__", "9.9")
    with truth_server(tmp_path, *FAST) as server:
        with pytest.raises(DriverFailed, match=r"this is 9\.9"):
            await stage.drivers(drive_job(server.url, open_plan(6, rate=50), tmp_path, processes=1))
        assert server.stop() == []


async def test_why_pods_do_not_come_is_told(stage: Stage, tmp_path: Path) -> None:
    stage.drivers.ready_limit_s = 3.0
    stage.node.hollow.allocatable["cpu"] = "0"
    await stage.node.hollow.beat()
    job = drive_job("http://127.0.0.1:1", open_plan(6, rate=50), tmp_path, processes=1)
    with pytest.raises(DriverFailed, match=r"0 of 1 driver pods came within 3 s: .*Insufficient cpu"):
        await stage.drivers(job)


async def test_a_quota_that_keeps_pods_away_is_told(stage: Stage, tmp_path: Path) -> None:
    stage.drivers.ready_limit_s = 3.0
    space = stage.drivers.pods.site.namespace
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": space},
        "spec": {"hard": {"pods": "0"}},
    }  # fmt: skip
    await stage.api.apply(f"/api/v1/namespaces/{space}/resourcequotas/small", quota)
    with pytest.raises(DriverFailed, match="exceeded quota: small"):
        await stage.drivers(drive_job("http://127.0.0.1:1", open_plan(6, rate=50), tmp_path, processes=1))


async def test_a_server_without_indexed_jobs_is_told(stage: Stage, tmp_path: Path) -> None:
    stage.server.admit = lambda value: value["spec"].pop("completionMode") if value["kind"] == "Job" else None
    with pytest.raises(ClusterRefused, match="no Indexed Jobs"):
        await stage.drivers(drive_job("http://127.0.0.1:1", open_plan(6, rate=50), tmp_path, processes=1))


async def test_what_a_killed_predecessor_left_is_ended(stage: Stage) -> None:
    await stage.drivers.pods.create("tf-drivers-old", count=1, limit_s=60)
    await stage.drivers.clear()
    await stage.until(lambda: not stage.left())
