"""Scaling on one machine, on simulated engines: to zero and back with the request held, and up under a load."""

import json
import threading
import urllib.request
from collections.abc import Iterator

import pytest
from platform_rig import Up, up, wait_for

INFER = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 5}
SCALE = "min=0,max=2,target=2,idle_s=1,down_after_s=2"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One whose only deployment scales from zero to two."""
    with up(tmp_path_factory.mktemp("home")) as made:
        done = made.run(
            "deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny", "--replicas", "0",
            "--autoscale", SCALE, "--engine-arg", "step_ms=10",
        )  # fmt: skip
        assert (done.returncode, "tiny is idle" in done.stdout) == (0, True), done.stderr
        yield made


def status(platform: Up) -> str:
    return str(platform.call("GET", "/deployments/tiny")[1]["status"])


def test_a_request_at_zero_is_held_and_served_and_zero_comes_again(platform: Up) -> None:
    assert (status(platform), platform.workers()) == ("idle", [])
    answered, body = platform.call("POST", "/infer", INFER)
    assert (answered, body["usage"]["completion_tokens"]) == (200, 5)
    wait_for(lambda: status(platform) == "idle" and not platform.workers(), limit_s=30)


def test_many_at_zero_are_all_served_and_bring_a_second_replica_that_goes_again(platform: Up) -> None:
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(platform.call("POST", "/infer", {**INFER, "max_tokens": 400})[0])

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert statuses == [200] * 8
    wait_for(lambda: status(platform) == "idle", limit_s=30)
    events = platform.run("logs", "tiny", "--events").stdout
    assert "waiting for no replica: 0 -> " in events
    assert "ScaledToZero: Scaled: no request for 1 s" in events


LATE = "min=1,max=2,target=100,ttft_ms={ttft_ms},down_after_s=600"
"""So many requests a replica that their number never asks for a second one: only the first token's time can."""


def test_answers_that_begin_too_late_bring_a_second_replica_and_only_where_they_are_too_late(platform: Up) -> None:
    names = {"late": 100, "calm": 20_000}
    for name, ttft_ms in names.items():
        done = platform.run(
            "deploy", "synthetic:tiny", "--runtime", "sim", "--name", name, "--engine-arg", "step_ms=300",
            "--autoscale", LATE.format(ttft_ms=ttft_ms),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    is_over = threading.Event()
    statuses: list[int] = []

    def ask(name: str) -> None:
        identity = platform.call("GET", f"/deployments/{name}")[1]["id"]
        url = f"{platform.url}/deployments/{identity}/v1/completions"
        body = json.dumps({"model": "synthetic:tiny", "prompt": "p", "max_tokens": 2, "stream": True}).encode()
        while not is_over.is_set():
            with urllib.request.urlopen(url, data=body, timeout=60) as answer:
                statuses.append(answer.status if b"[DONE]" in answer.read() else 0)

    clients = [threading.Thread(target=ask, args=(name,)) for name in names for _ in range(3)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: len(serving(platform, "late")) == 2, limit_s=90)
    finally:
        is_over.set()
        for client in clients:
            client.join(60)
    assert set(statuses) == {200}
    events = platform.run("logs", "late", "--events").stdout
    assert "ScaledUp: Scaled: TTFT p90 of " in events
    assert "above 100 ms, for 1 replica: 1 -> 2" in events
    assert len(serving(platform, "calm")) == 1  # as many requests, as slow, and its limit is higher
    assert "Scaled: TTFT" not in platform.run("logs", "calm", "--events").stdout
    for name in names:
        platform.call("DELETE", f"/deployments/{name}")
    wait_for(lambda: not platform.workers(), limit_s=60)


def serving(platform: Up, name: str) -> list[str]:
    """Its replicas that serve."""
    replicas = platform.call("GET", f"/deployments/{name}")[1]["observed"]["replicas"]
    return [replica["id"] for replica in replicas if replica["phase"] == "ready"]
