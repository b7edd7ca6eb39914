"""How a worker starts, fills up, drains and dies."""

import asyncio
import json
from pathlib import Path

import pytest
import worker_rig as rig

from tokenforge.cluster.local import LocalCluster
from tokenforge.cluster.local_worker import LocalWorker
from tokenforge.domain.errors import WorkerFailed
from tokenforge.models.synthetic import make_synthetic

LONG = {"max_tokens": 2000, "ignore_eos": True}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("model") / "tiny")


async def test_it_answers_live_while_it_loads_and_ready_only_after(model: Path, tmp_path: Path) -> None:
    cluster, phases = LocalCluster(tmp_path), list[str]()
    worker = await cluster.launch(rig.launch_of(model, engine_args={"start_ms": 1500.0}))
    ready = asyncio.create_task(worker.ready(timeout_s=30, on_phase=phases.append))
    await rig.until(lambda: asyncio.sleep(0, "loading" in phases), limit_s=20)
    live, not_ready, refused = await asyncio.gather(
        rig.get(worker, "/health/live"), rig.get(worker, "/health/ready"), rig.complete(worker)
    )
    assert (live.status, not_ready.status, refused.status) == (200, 503, 503)
    assert not_ready.json()["phase"] == "loading"
    assert "retry-after" in refused.headers
    await ready
    assert (await rig.get(worker, "/health/ready")).status == 200
    assert phases == ["starting", "loading", "ready"]
    await cluster.close()


async def test_one_request_too_many_is_a_429_at_once(model: Path, tmp_path: Path) -> None:
    launch = rig.launch_of(model, max_waiting=1, drain_s=0.1, engine_args={"max_num_seqs": 1})
    async with rig.running(tmp_path, launch) as worker:
        inside = [asyncio.create_task(rig.complete(worker, **LONG)) for _ in range(2)]
        await rig.until(lambda: _is_full(worker, 2))
        answer = await asyncio.wait_for(rig.complete(worker), 1.0)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert answer.json()["error"]["code"] == "overloaded"
        page = (await rig.get(worker, "/metrics")).body.decode()
        assert 'tokenforge_admission_rejected_total{reason="overloaded"} 1.0' in page
        for task in inside:
            task.cancel()
        await asyncio.wait(inside)


async def test_a_stop_lets_streams_finish(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path, rig.launch_of(model, engine_args={"step_ms": 5.0})) as worker:
        stream = asyncio.create_task(rig.complete(worker, max_tokens=200, ignore_eos=True, stream=True))
        await rig.until_running(worker, 1)
        stopping = asyncio.create_task(worker.stop(grace_s=10))
        await _until_phase(worker, "draining")
        assert (await rig.get(worker, "/health/ready")).status == 503
        assert (await rig.complete(worker)).status == 503
        answer = await stream
        await stopping
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert "ends as asked" in worker.last_words(1)[0]


async def test_streams_beyond_the_drain_end_with_an_error_event(model: Path, tmp_path: Path) -> None:
    launch = rig.launch_of(model, drain_s=0.2, engine_args={"step_ms": 20.0})
    async with rig.running(tmp_path, launch) as worker:
        stream = asyncio.create_task(rig.complete(worker, stream=True, **LONG))
        await rig.until_running(worker, 1)
        await worker.stop(grace_s=10)
        answer = await stream
    assert answer.events()[-1]["error"]["code"] == "engine_error"
    assert b"[DONE]" not in answer.body
    assert "ends as asked" in worker.last_words(1)[0]


async def test_a_stop_while_loading_ends_it(model: Path, tmp_path: Path) -> None:
    worker = await LocalCluster(tmp_path).launch(rig.launch_of(model, engine_args={"start_ms": 60_000.0}))

    async def is_loading() -> bool:
        return any("phase=loading" in line for line in worker.last_words())

    await rig.until(is_loading, limit_s=30)
    with pytest.raises(WorkerFailed, match="not ready after"):
        await worker.ready(timeout_s=0.1)
    await asyncio.wait_for(worker.stop(grace_s=8), 5)
    assert "ends as asked" in worker.last_words(1)[0]


async def test_a_dead_engine_ends_streams_and_the_worker_with_its_cause(model: Path, tmp_path: Path) -> None:
    launch = rig.launch_of(model, engine_args={"die_after_requests": 2, "step_ms": 20.0})
    async with rig.running(tmp_path, launch) as worker:
        stream = asyncio.create_task(rig.complete(worker, stream=True, **LONG))
        await rig.until_running(worker, 1)
        await asyncio.sleep(0.1)
        second = await rig.complete(worker)
        failed = await asyncio.wait_for(worker.exited(), 10)
        answer = await stream
    assert second.status == 503
    assert answer.events()[-1]["error"]["code"] == "engine_dead"
    assert "exited with status 1" in failed.message
    assert "ERROR" in failed.last_words[-1]
    assert "ends: " in failed.last_words[-1]


async def test_a_start_that_fails_tells_its_cause(model: Path, tmp_path: Path) -> None:
    worker = await LocalCluster(tmp_path).launch(rig.launch_of(model, engine_args={"stepms": 1}))
    with pytest.raises(WorkerFailed, match="stepms") as caught:
        await worker.ready(timeout_s=20)
    assert "exited with status 1" in caught.value.message


async def test_a_model_without_a_tokenizer_tells_its_cause(tmp_path: Path) -> None:
    worker = await LocalCluster(tmp_path).launch(rig.launch_of(tmp_path))
    with pytest.raises(WorkerFailed, match=r"tokenizer\.json"):
        await worker.ready(timeout_s=20)


async def test_an_unknown_runtime_tells_what_there_is(model: Path, tmp_path: Path) -> None:
    worker = await LocalCluster(tmp_path).launch(rig.launch_of(model, runtime="simm"))
    with pytest.raises(WorkerFailed, match="did you mean sim"):
        await worker.ready(timeout_s=20)


async def test_it_serves_again_after_errors(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path, rig.launch_of(model, engine_args={"error_rate": 1.0})) as worker:
        assert (await rig.complete(worker)).status == 500
        assert (await rig.complete(worker, stream=True)).status in (200, 500)
        assert json.loads((await rig.get(worker, "/worker/info")).body)["admission"]["inside"] == 0


async def _until_phase(worker: LocalWorker, phase: str) -> None:
    async def check() -> bool:
        return bool((await rig.get(worker, "/health/ready")).json()["phase"] == phase)

    await rig.until(check)


async def _is_full(worker: LocalWorker, count: int) -> bool:
    return bool((await rig.get(worker, "/worker/info")).json()["admission"]["inside"] == count)
