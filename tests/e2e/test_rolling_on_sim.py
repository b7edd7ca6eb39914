"""A rolling change under a load of streams: none is lost; with draining off the same load sees streams that are cut."""

from pathlib import Path

from platform_rig import Up, up, wait_for
from stream_load import streams_during

CLIENTS = 4


def change_under_load(platform: Up) -> list[bool]:
    """Deploy, load it, change its revision; for each stream whether it was whole."""
    done = platform.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny", "--engine-arg", "step_ms=5")
    assert done.returncode == 0, done.stderr

    def change() -> None:
        before = {process.pid for process in platform.workers()}
        changed = platform.call("PATCH", "/deployments/tiny", {"revision": "2"})[1]
        assert (changed["generation"], changed["ready"]) == (2, False)
        wait_for(lambda: not before & {process.pid for process in platform.workers()}, limit_s=60)
        assert platform.call("GET", "/deployments/tiny")[1]["observed"]["generation"] == 2

    return streams_during(change, platform.url, clients=CLIENTS)


def test_a_change_under_load_loses_no_stream(tmp_path: Path) -> None:
    with up(tmp_path / "home") as platform:
        streams = change_under_load(platform)
    assert len(streams) >= 2 * CLIENTS
    assert all(streams)


def test_without_draining_the_same_change_cuts_streams(tmp_path: Path) -> None:
    with up(tmp_path / "home", TOKENFORGE_DRAIN_S="0") as platform:
        streams = change_under_load(platform)
    assert not all(streams)
