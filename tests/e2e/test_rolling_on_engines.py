"""A rolling change of a real engine under load: no stream is lost; with draining off the same load sees cut streams."""

import json
import threading
import urllib.request
from pathlib import Path

import pytest
from platform_rig import Up, up, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

BODY = json.dumps(
    {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 150, "stream": True, "temperature": 0.5}
).encode()
CLIENTS = 3


def is_whole(url: str) -> bool:
    """Whether one stream came with its end."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/infer", data=BODY), timeout=60) as answer:
            return b"event: done" in answer.read()
    except OSError:
        return False


def change_under_load(platform: Up) -> list[bool]:
    """Deploy Transformers, load it, change its revision; for each stream whether it was whole."""
    done = platform.run("deploy", "synthetic:tiny", "--runtime", "transformers", "--name", "tiny", timeout_s=300)
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
        wait_for(lambda: len(streams) >= CLIENTS, limit_s=60)
        before = {process.pid for process in platform.workers()}
        assert platform.call("PATCH", "/deployments/tiny", {"revision": "2"})[1]["generation"] == 2
        wait_for(lambda: not before & {process.pid for process in platform.workers()}, limit_s=200)
    finally:
        stop.set()
        for client in clients:
            client.join(90)
    assert platform.call("GET", "/deployments/tiny")[1]["ready"]
    return streams


def own_home(folder: Path, home: Path) -> Path:
    """A home of its own, with the environments that were made once."""
    (home / "environments").mkdir(parents=True, exist_ok=True)
    own = folder / "home"
    own.mkdir()
    (own / "environments").symlink_to(home / "environments")
    return own


def test_a_change_of_transformers_under_load_loses_no_stream(tmp_path: Path, home: Path) -> None:
    with up(own_home(tmp_path, home)) as platform:
        streams = change_under_load(platform)
    assert len(streams) > CLIENTS
    assert all(streams)


def test_without_draining_the_same_change_cuts_streams(tmp_path: Path, home: Path) -> None:
    with up(own_home(tmp_path, home), TOKENFORGE_DRAIN_S="0") as platform:
        streams = change_under_load(platform)
    assert not all(streams)
