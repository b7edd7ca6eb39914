"""Scaling on one machine, on simulated engines: to zero and back with the request held, and up under a load."""

import threading
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
