"""How `up` ends, and what the next one finds: killed, asked while it starts, asked twice. Nothing is left by any."""

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import COMMAND
from own_children import words_of
from platform_rig import Up, is_live, up, wait_for

LONG = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 1500, "stream": True}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Up]:
    """One that serves slowly, so that streams are long."""
    with up(tmp_path / "home") as made:
        done = made.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny", "--engine-arg", "step_ms=50")
        assert done.returncode == 0, done.stderr
        yield made


def stream(platform: Up) -> http.client.HTTPConnection:
    """One that has begun and goes on for a minute."""
    client = http.client.HTTPConnection(platform.url.removeprefix("http://"), timeout=30)
    client.request("POST", "/infer", json.dumps(LONG))
    assert client.getresponse().read(1)
    return client


def announced_by(platform: Up) -> int:
    """Which process says that it is up here."""
    place = Path(platform.env["TOKENFORGE_HOME"]) / "platform" / "up.json"
    return int(json.loads(place.read_text())["pid"])


def test_an_up_that_was_killed_under_load_is_back_at_once_on_its_port_with_what_was_deployed(platform: Up) -> None:
    client = stream(platform)
    before = {process.pid for process in platform.everything()}
    platform.process.kill()
    platform.process.wait()
    port = platform.url.rsplit(":", 1)[1]
    again = subprocess.Popen([*COMMAND, "up", "--port", port], env=platform.env, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: announced_by(platform) == again.pid and is_live(platform.url), limit_s=20)
        wait_for(lambda: bool(platform.call("GET", "/deployments/tiny")[1]["ready"]), limit_s=20)
        assert not before & {process.pid for process in platform.everything()}
    finally:
        client.close()
        again.send_signal(signal.SIGTERM)
        assert again.wait(30) == 0
    assert platform.everything() == []


def test_who_asks_a_second_time_does_not_wait_for_streams(platform: Up) -> None:
    client = stream(platform)
    began = time.monotonic()
    platform.process.send_signal(signal.SIGINT)
    wait_for(lambda: b"once more" in (Path(platform.env["TOKENFORGE_HOME"]) / "up.log").read_bytes(), limit_s=5)
    platform.process.send_signal(signal.SIGINT)
    assert platform.process.wait(30) == 0
    assert time.monotonic() - began < 15  # streams may go on for 20 s when asked once
    assert platform.everything() == []
    client.close()


def test_an_up_that_is_asked_to_end_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with up(tmp_path / "home") as first:
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(30) == 0
        starting = subprocess.Popen([*COMMAND, "up", "--port", "0"], env=first.env, stdout=subprocess.DEVNULL)
        wait_for(lambda: any("gateway" in words_of(process) for process in first.everything()), limit_s=20)
        starting.send_signal(signal.SIGTERM)
        assert starting.wait(30) == 0
        assert first.everything() == []
