"""A platform under load that a real Prometheus watches: deployments, a benchmark, errors, a death, a rollout."""

import io
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from own_children import words_of
from platform_rig import Up, up, wait_for
from prometheus_tools import Prometheus, prometheus

from tokenforge.telemetry.boards.promql import WINDOW

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
FAULTY: dict[str, object] = {"error_rate": 0.05, "kv_tokens": 600, "step_ms": 2.0, "max_num_seqs": 16}
"""A simulated engine that fails some requests, and whose cache is too small for its batch."""

_RUN_LIMIT_S = 240
_START_LIMIT_S = 420
_OVER = ("succeeded", "failed", "cancelled", "interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen: Prometheus itself, the span of the run, and the requests of the record."""

    prometheus: Prometheus
    platform: Up
    since_s: float
    until_s: float
    requests: Sequence[Mapping[str, Any]]

    def had_data(self, expr: str) -> bool:
        """Whether a query of a board gave a number during the run."""
        filled = expr.replace(WINDOW, "10s").replace("$price", "2")
        for name in ("deployment", "runtime", "workload"):
            filled = filled.replace(f'"${name}"', '".*"')
        return self.prometheus.had_data(filled, since_s=self.since_s, until_s=self.until_s)


@contextmanager
def observed(folder: Path, *, runtimes: Sequence[str], qps: float, duration_s: int, home: Path) -> Iterator[Observed]:
    """Run all of it once."""
    with up(home) as platform:
        _deploy(platform, {"name": "faulty", "runtime": "sim", "replicas": 2, "engine_args": FAULTY})
        with prometheus(
            folder, targets_url=f"{platform.url}/metrics/targets", rules=[RULES / "rules.yml", RULES / "alerts.yml"]
        ) as watching:
            since_s = time.time()
            run = _benchmark(platform, runtimes, qps=qps, duration_s=duration_s)
            wait_for(lambda: _status(platform, run) != "queued", limit_s=30)
            wait_for(lambda: _status(platform, run) != "preparing", limit_s=_START_LIMIT_S)
            _disturb(platform, until=lambda: _status(platform, run) in _OVER)
            assert _status(platform, run) == "succeeded", platform.call("GET", f"/benchmarks/{run}")[1]
            time.sleep(2)
            rows = _requests(platform, run)
            yield Observed(prometheus=watching, platform=platform, since_s=since_s, until_s=time.time(), requests=rows)


def _deploy(platform: Up, body: Mapping[str, object]) -> None:
    status, told = platform.call("POST", "/deploy", {"model": "synthetic:tiny", **body})
    assert status in (200, 201, 202), told
    wait_for(lambda: bool(platform.call("GET", f"/deployments/{body['name']}")[1]["ready"]), limit_s=_RUN_LIMIT_S)


def _benchmark(platform: Up, runtimes: Sequence[str], *, qps: float, duration_s: int) -> str:
    """Queue it; its id."""
    workload = {
        "name": "chat",
        "qps": qps,
        "duration_s": duration_s,
        "prompt_len": {"uniform": {"low": 8, "high": 64}},
        "gen_tokens": {"lognormal": {"mean": 24, "cv": 0.8, "low": 2, "high": 160}},
        "slo": {"ttft_ms": 500},
    }
    body = {"model": "synthetic:tiny", "runtimes": list(runtimes), "workloads": [workload], "trials": 1, "keep": True}
    status, queued = platform.call("POST", "/benchmarks/run", body)
    assert status == 202, queued
    identity: str = queued["id"]
    return identity


def _requests(platform: Up, benchmark: str) -> Sequence[Mapping[str, Any]]:
    """Every request of a benchmark, from the record that the platform keeps."""
    run = platform.call("GET", f"/benchmarks/{benchmark}")[1]["runs"][0]["id"]
    with urllib.request.urlopen(f"{platform.url}/runs/{run}/artifacts/requests.parquet", timeout=20) as answer:
        return pq.read_table(io.BytesIO(answer.read())).to_pylist()


def _status(platform: Up, run: str) -> str:
    status: str = platform.call("GET", f"/benchmarks/{run}")[1]["status"]
    return status


def _disturb(platform: Up, *, until: Any) -> None:
    """What makes errors, retries, a failure and a rollout, again and again until the run is over."""
    victim = next(p for p in platform.workers() if any("faulty" in word for word in words_of(p)))
    os.kill(victim.pid, signal.SIGKILL)
    number = 0
    began = time.monotonic()
    is_changed = False
    while not until() and time.monotonic() - began < _RUN_LIMIT_S:
        number += 1
        for body in (
            {"model": "synthetic:tiny", "prompt": f"again {number} and more", "max_tokens": 100, "ignore_eos": True},
            {"model": "nobody/has-this", "prompt": "a"},
        ):
            for _ in range(3):
                _ask(platform, body)
        if not is_changed and time.monotonic() - began > 5:
            is_changed = platform.call("PATCH", "/deployments/faulty", {"revision": "2"})[0] < 300
        time.sleep(0.1)


def _ask(platform: Up, body: Mapping[str, object]) -> None:
    """One completion of the faulty deployment, or of nobody; whatever comes."""
    request = urllib.request.Request(
        f"{platform.url}/v1/completions", data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
    except OSError:
        return
