"""A rolling change under a load of streams: none is lost; with draining off the same load sees streams that are cut."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

from platform_rig import Up, up, wait_for

BODY = json.dumps({"model": "synthetic:tiny", "prompt": "p", "max_tokens": 150, "stream": True}).encode()
CLIENTS = 4


def is_whole(url: str) -> bool:
    """Whether one stream came with its end."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/infer", data=BODY), timeout=30) as answer:
            return b"event: done" in answer.read()
    except (OSError, urllib.error.HTTPError):
        return False


def change_under_load(platform: Up) -> list[bool]:
    """Deploy, load it, change its revision twice; for each stream whether it was whole."""
    done = platform.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny", "--engine-arg", "step_ms=5")
    assert done.returncode == 0, done.stderr
    streams: list[bool] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            streams.append(is_whole(platform.url))

    clients = [threading.Thread(target=load) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: len(streams) >= CLIENTS, limit_s=30)
        before = {process.pid for process in platform.workers()}
        changed = platform.call("PATCH", "/deployments/tiny", {"revision": "2"})[1]
        assert (changed["generation"], changed["ready"]) == (2, False)
        wait_for(lambda: not before & {process.pid for process in platform.workers()}, limit_s=60)
        assert platform.call("GET", "/deployments/tiny")[1]["observed"]["generation"] == 2
    finally:
        stop.set()
        for client in clients:
            client.join(40)
    return streams


def test_a_change_under_load_loses_no_stream(tmp_path: Path) -> None:
    with up(tmp_path / "home") as platform:
        streams = change_under_load(platform)
    assert len(streams) >= 2 * CLIENTS
    assert all(streams)


def test_without_draining_the_same_change_cuts_streams(tmp_path: Path) -> None:
    with up(tmp_path / "home", TOKENFORGE_DRAIN_S="0") as platform:
        streams = change_under_load(platform)
    assert not all(streams)
