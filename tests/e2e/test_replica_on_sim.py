"""`manifests` and `replica` as a user and a pod run them: what a manifest says is what really serves."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from command import COMMAND, Run

LIMIT_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(arguments: list[str], *, env: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as out:
        process = subprocess.Popen([*COMMAND, *arguments], env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        assert process.poll() is None, "it ended"
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("not ready in time")


def test_the_commands_of_a_manifest_fetch_and_serve_and_end_when_asked(
    tokenforge: Run, command_env: dict[str, str], tmp_path: Path
) -> None:
    listed = json.loads(tokenforge("manifests", "synthetic:tiny", "--runtime", "sim", "--json").stdout)
    pod = listed["items"][0]["spec"]["template"]["spec"]
    prepare, serve = pod["initContainers"][0]["command"], pod["containers"][0]["command"]
    env = {**command_env, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = tokenforge(*prepare[1:])
    assert done.returncode == 0, done.stderr
    port = free_port()
    spec = json.dumps({**json.loads(serve[-1]), "port": port, "drain_s": 1.0})
    with running([*serve[1:-1], spec], env=env, log=tmp_path / "log") as process:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5) as answer:
            assert json.load(answer)["data"][0]["id"] == "synthetic:tiny"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


def test_a_model_that_is_not_there_is_told_in_one_line(tokenforge: Run) -> None:
    model = {"name": "nobody/nothing", "source": "hub"}
    spec = {"model": model, "runtime": {"name": "sim", "version": None}, "port": 1}
    done = tokenforge("replica", "prepare", json.dumps(spec))
    assert done.returncode != 0
    assert "nobody/nothing is not in the local cache" in done.stderr.splitlines()[-1]


def test_manifests_are_yaml_that_a_cluster_takes_and_the_same_every_time(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("namespace: elsewhere\ncache: {kind: claim, name: models}\n")
    asked = ("manifests", "synthetic:tiny", "--runtime", "sim", "--set", "replicas=3", "--site", "site.yaml")
    first, second = tokenforge(*asked), tokenforge(*asked)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert first.stdout.count("\n---\n") + 1 == first.stdout.count("namespace: elsewhere") == 4
    assert "claimName: models" in first.stdout


def test_what_a_cluster_cannot_do_is_told_with_every_fault(tokenforge: Run) -> None:
    asked = ("--set", 'resources={"gpu": 99}', "--set", 'engine_args={"api_key": "hush"}', "--set", 'env=["A"]')
    done = tokenforge("manifests", "synthetic:tiny", "--runtime", "sim", *asked)
    assert done.returncode == 2
    assert all(field in done.stderr for field in ("resources.gpu", "engine_args.api_key", "env"))
    assert "hush" not in done.stderr
