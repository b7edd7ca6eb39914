"""A worker that lives and does not answer (stopped by a signal): seen, given no more requests, killed and replaced."""

import signal
import threading
from pathlib import Path

from platform_rig import Up, up, wait_for

INFER = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 5}


def phases(platform: Up) -> list[str]:
    observed = platform.call("GET", "/deployments/tiny")[1]["observed"]
    return sorted(replica["phase"] for replica in observed["replicas"])


def test_a_stopped_worker_is_replaced_and_no_request_is_lost(tmp_path: Path) -> None:
    with up(tmp_path / "home", TOKENFORGE_SILENCE_LIMIT_S="4") as platform:
        done = platform.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny", "--replicas", "2")
        assert done.returncode == 0, done.stderr
        hung, _ = platform.workers()
        hung.send_signal(signal.SIGSTOP)
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(platform.call("POST", "/infer", INFER)[0])

        clients = [threading.Thread(target=ask) for _ in range(6)]
        for client in clients:
            client.start()
        wait_for(lambda: "silent" in phases(platform), limit_s=20)
        assert platform.call("POST", "/infer", INFER)[0] == 200
        wait_for(lambda: not hung.is_running() and phases(platform) == ["ready", "ready"], limit_s=30)
        for client in clients:
            client.join(20)
        events = platform.run("logs", "tiny", "--events").stdout
    assert statuses == [200] * 6
    assert "WorkerSilent: Healthy: worker" in events
    assert "WorkerHung: Healthy: worker" in events
