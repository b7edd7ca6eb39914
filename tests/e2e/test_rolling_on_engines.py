"""A rolling change of a real engine under load: no stream is lost; with draining off the same load sees cut streams."""

from pathlib import Path

import pytest
from platform_rig import Up, own_home, up, wait_for
from stream_load import BODY, streams_during

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

CLIENTS = 3


def change_under_load(platform: Up) -> list[bool]:
    """Deploy Transformers, load it, change its revision; for each stream whether it was whole."""
    done = platform.run("deploy", "synthetic:tiny", "--runtime", "transformers", "--name", "tiny", timeout_s=300)
    assert done.returncode == 0, done.stderr

    def change() -> None:
        before = {process.pid for process in platform.workers()}
        assert platform.call("PATCH", "/deployments/tiny", {"revision": "2"})[1]["generation"] == 2
        wait_for(lambda: not before & {process.pid for process in platform.workers()}, limit_s=200)

    streams = streams_during(change, platform.url, clients=CLIENTS, body={**BODY, "temperature": 0.5}, limit_s=60)
    assert platform.call("GET", "/deployments/tiny")[1]["ready"]
    return streams


def test_a_change_of_transformers_under_load_loses_no_stream(tmp_path: Path, home: Path) -> None:
    with up(own_home(tmp_path / "home", home)) as platform:
        streams = change_under_load(platform)
    assert len(streams) > CLIENTS
    assert all(streams)


def test_without_draining_the_same_change_cuts_streams(tmp_path: Path, home: Path) -> None:
    with up(own_home(tmp_path / "home", home), TOKENFORGE_DRAIN_S="0") as platform:
        streams = change_under_load(platform)
    assert not all(streams)
