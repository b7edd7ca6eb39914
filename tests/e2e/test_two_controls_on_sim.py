"""A second control waits; it takes over by the lease from one that freezes, which does nothing when it wakes."""

import signal
import subprocess
from pathlib import Path

from command import COMMAND
from platform_rig import Up, up, wait_for


def serving(platform: Up) -> tuple[bool, set[int]]:
    """Whether it is said to serve, and the processes of its workers."""
    ready = bool(platform.call("GET", "/deployments/tiny")[1]["ready"])
    return ready, {process.pid for process in platform.workers()}


def test_a_second_control_takes_over_from_a_frozen_one_and_keeps_what_it_did(tmp_path: Path) -> None:
    with up(tmp_path / "home") as platform, (tmp_path / "second.log").open("wb") as log:
        assert platform.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny").returncode == 0
        second = subprocess.Popen([*COMMAND, "control"], env=platform.env, stdout=log, stderr=log)
        try:
            first = platform.part("control")
            first.suspend()
            (worker,) = platform.workers()
            worker.kill()
            wait_for(lambda: serving(platform)[0] and bool(serving(platform)[1] - {worker.pid}), limit_s=40)
            kept = serving(platform)[1]
            first.resume()
            platform.call("PATCH", "/deployments/tiny", {"replicas": 2})
            wait_for(lambda: serving(platform)[0] and len(serving(platform)[1]) == 2, limit_s=15)
            assert kept < serving(platform)[1]
            assert (tmp_path / "second.log").read_text().count("leading, epoch") == 1
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0
        assert serving(platform)[0]
