"""What end-to-end tests of faults share: a worker at a port of its own, a benchmark as a process, its codes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from own_children import children_with

from tokenforge.domain.worker import RuntimeSpec, WorkerSpec
from tokenforge.protocol.worker_spec import worker_spec_to_json

Env = Mapping[str, str]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start_worker(
    folder: Path,
    model: Path,
    *,
    port: int,
    env: Env,
    runtime: str = "sim",
    python: str = sys.executable,
    engine_args: Mapping[str, object] | None = None,
    limit_s: float = 60.0,
) -> "subprocess.Popen[bytes]":
    """A worker at `port`; returns once it is ready. Whoever asked for it ends it."""
    spec = RuntimeSpec(runtime=runtime, model_path=str(model), served_name="tiny", engine_args=dict(engine_args or {}))
    path = folder / f"worker-{port}.json"
    path.write_text(worker_spec_to_json(WorkerSpec(name="w", runtime=spec, port=port)))
    log = (folder / f"worker-{port}.log").open("ab")
    worker = subprocess.Popen([python, "-m", "tokenforge.worker", str(path)], env=env, stdout=log, stderr=log)
    log.close()
    wait_for(lambda: worker.poll() is not None or _is_ready(port), limit_s=limit_s)
    assert worker.poll() is None, (folder / f"worker-{port}.log").read_text()[-2000:]
    return worker


@contextmanager
def worker_at(folder: Path, model: Path, **options: Any) -> Iterator[int]:
    """A worker that ends with the block; gives its port."""
    port = free_port()
    worker = start_worker(folder, model, port=port, **options)
    try:
        yield port
    finally:
        end(worker)


@contextmanager
def proxy_to(port: int, mode: str) -> Iterator[int]:
    """The meddling proxy in front of a port; gives its own."""
    command = [sys.executable, str(Path(__file__).with_name("meddling_proxy.py")), str(port), mode]
    proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert proxy.stdout is not None
    try:
        yield int(proxy.stdout.readline())
    finally:
        end(proxy)
        proxy.stdout.close()


def end(process: "subprocess.Popen[Any]") -> None:
    """End it and whatever it started, now."""
    with_children = [process.pid, *(child.pid for child in _children(process.pid))]
    for pid in with_children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait(10)


def codes_of(folder: Path, *, but: frozenset[str] = frozenset()) -> set[str]:
    """The codes of the only run of a record; without notes, and without those of `but`."""
    run = json.loads((folder / "record.json").read_text())["summary"]["runs"][0]
    return {reason["code"] for reason in run["reasons"] if reason["level"] != "note"} - but


def wait_for(condition: Callable[[], object], *, limit_s: float = 30) -> None:
    """Wait until it holds, with a limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def trial_began(out: Path, position: int) -> Callable[[], bool]:
    """Whether the load of the trial at this place in the order has begun to be answered."""
    place = f"*/*/trial-{position:03d}/*.journal"
    return lambda: any(path.stat().st_size > 1000 for path in (out / "journals").glob(place))


def process_named(parent: int, words: str) -> int:
    """The id of a process under `parent` whose command line has these words."""
    found = [child.pid for child in children_with(words, of=parent)]
    assert found, f"no process of {words}"
    return found[0]


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _is_ready(port: int) -> bool:
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
