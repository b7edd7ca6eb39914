"""Benchmarks and runs over HTTP: queued, looked at, cancelled; their files once they are there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_rig import Rig, gateway

from tokenforge.domain.run import RunStatus

BODY = {
    "model": "synthetic:tiny",
    "runtimes": ["sim", "vllm"],
    "workloads": [{"name": "qa-short", "qps": 5, "duration_s": 180, "prompt_len": 256, "gen_tokens": 128}],
}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with gateway(tmp_path) as made:
        yield made


async def test_a_benchmark_is_queued_with_a_run_for_each_runtime(rig: Rig) -> None:
    status, body, headers = await rig.post("/benchmarks/run", BODY)
    assert (status, body["status"], headers["location"]) == (202, "queued", f"/benchmarks/{body['id']}")
    assert [run["runtime"] for run in body["runs"]] == ["sim", "vllm"]
    assert (await rig.get(f"/benchmarks/{body['id']}"))[1] == body
    assert (await rig.get(f"/runs/{body['runs'][1]['id']}"))[1] == body["runs"][1]


async def test_the_same_key_and_body_are_queued_once(rig: Rig) -> None:
    first, second = [await rig.post("/benchmarks/run", BODY, **{"idempotency-key": "k"}) for _ in range(2)]
    assert first[1] == second[1]
    assert len((await rig.get("/runs"))[1]["runs"]) == 2
    assert (await rig.post("/benchmarks/run", {**BODY, "seed": 1}, **{"idempotency-key": "k"}))[0] == 422


async def test_all_faults_of_a_benchmark_are_told_at_once(rig: Rig) -> None:
    wrong = {**BODY, "keep": "yes", "trails": 3, "workloads": [{"name": "w", "qps": -1}]}
    status, body, _ = await rig.post("/benchmarks/run", wrong)
    assert status == 400
    assert {"keep", "trails", "workloads[0].qps"} <= {error["field"] for error in body["errors"]}


async def test_the_newest_runs_come_first(rig: Rig) -> None:
    made = [(await rig.post("/benchmarks/run", BODY))[1]["id"] for _ in range(2)]
    listed = (await rig.get("/runs?limit=1"))[1]["runs"]
    assert {run["benchmark"] for run in listed} <= set(made)
    assert len(listed) == 2


async def test_one_run_is_cancelled_and_the_others_go_on(rig: Rig) -> None:
    _, made, _ = await rig.post("/benchmarks/run", BODY)
    first, second = (run["id"] for run in made["runs"])
    status, body, _ = await rig.post(f"/runs/{first}/cancel", {})
    assert (status, body["id"], body["status"]) == (202, first, "cancelled")
    assert (await rig.get(f"/runs/{second}"))[1]["status"] == "queued"
    assert (await rig.get(f"/benchmarks/{made['id']}"))[1]["status"] == "queued"
    _, events, _ = await rig.get(f"/runs/{second}/events?follow=false")
    assert b"qa-short on sim" in events


async def test_a_benchmark_is_cancelled_with_all_its_runs(rig: Rig) -> None:
    _, made, _ = await rig.post("/benchmarks/run", BODY)
    for _ in range(2):  # the second changes nothing
        status, body, _ = await rig.post(f"/benchmarks/{made['id']}/cancel", {})
        assert (status, body["status"], {run["status"] for run in body["runs"]}) == (202, "cancelled", {"cancelled"})
    _, events, _ = await rig.get(f"/runs/{made['runs'][0]['id']}/events")
    assert events.count(b"cancelled over the API") == 2


async def test_what_is_over_cannot_be_cancelled(rig: Rig) -> None:
    _, made, _ = await rig.post("/benchmarks/run", BODY)
    await rig.store.benchmarks.step(made["id"], to=RunStatus.FAILED, lease=rig.lease)
    for path in (f"/runs/{made['runs'][0]['id']}/cancel", f"/benchmarks/{made['id']}/cancel"):
        status, body, _ = await rig.post(path, {})
        assert (status, body["code"], "over: failed" in body["detail"]) == (409, "already_over", True)


async def test_benchmarks_are_listed_the_newest_first(rig: Rig) -> None:
    made = [(await rig.post("/benchmarks/run", BODY))[1] for _ in range(2)]
    listed = (await rig.get("/benchmarks"))[1]["benchmarks"]
    assert sorted(one["id"] for one in listed) == sorted(one["id"] for one in made)
    assert (await rig.get("/benchmarks?limit=0"))[0] == 400


async def test_files_are_404_until_they_are_written_and_then_served(rig: Rig, tmp_path: Path) -> None:
    _, made, _ = await rig.post("/benchmarks/run", BODY)
    run = made["runs"][0]["id"]
    assert (await rig.get(f"/runs/{run}/report"))[0] == 404
    (tmp_path / "report.html").write_text("<p>hello</p>")
    facts = {"folder": str(tmp_path)}
    await rig.store.benchmarks.step(made["id"], to=RunStatus.PREPARING, lease=rig.lease, facts=facts)
    status, body, headers = await rig.get(f"/runs/{run}/report")
    assert (status, body, headers["content-type"]) == (200, b"<p>hello</p>", "text/html; charset=utf-8")
    listed = (await rig.get(f"/runs/{run}/artifacts"))[1]["artifacts"]
    assert [(one["name"], one["bytes"]) for one in listed] == [("report.html", 12)]
    assert (await rig.get(listed[0]["url"]))[0] == 200


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "store.db", ".partial"])
async def test_no_other_file_is_served(rig: Rig, tmp_path: Path, name: str) -> None:
    _, made, _ = await rig.post("/benchmarks/run", BODY)
    facts = {"folder": str(tmp_path)}
    await rig.store.benchmarks.step(made["id"], to=RunStatus.PREPARING, lease=rig.lease, facts=facts)
    assert (await rig.get(f"/runs/{made['runs'][0]['id']}/artifacts/{name}"))[0] == 404


async def test_an_unknown_benchmark_or_run_is_404(rig: Rig) -> None:
    for path in ("/benchmarks/x", "/runs/x", "/runs/x/events", "/runs/x/report", "/runs/x/artifacts"):
        assert (await rig.get(path))[0] == 404
