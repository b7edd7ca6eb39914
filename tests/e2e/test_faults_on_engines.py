"""Faults planted on workers with real engines: each is found under its own code, and not before it was planted."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command import COMMAND, Run
from engine_runs import ENGINES, Engines
from fault_rig import codes_of, end, free_port, process_named, proxy_to, start_worker, trial_began, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]
START_LIMIT_S = 300.0
LOAD = ("--rate", "6", "--duration", "6", "--prompt-len", "256", "--gen-tokens", "12", "--no-calibration")


@dataclass(slots=True)
class Workers:
    """Workers by runtime, at ports that stay theirs."""

    engines: Engines
    folder: Path
    running: dict[str, tuple[int, Process]] = field(default_factory=dict)

    def url(self, runtime: str) -> str:
        """Where it serves; it is started when first asked for, and again after a `kill`."""
        port, process = self.running.get(runtime, (free_port(), None))
        if process is None or process.poll() is not None:
            python, env = self.engines.environment(ENGINES[runtime][0])
            model = self.engines.models("tiny")
            started = start_worker(
                self.folder, model, port=port, env=env, runtime=runtime, python=python, limit_s=START_LIMIT_S
            )
            self.running[runtime] = (port, started)
        return f"http://127.0.0.1:{port}"

    def kill(self, runtime: str) -> None:
        """Kill it and what it started, at once."""
        end(self.running[runtime][1])


@pytest.fixture(scope="module")
def workers(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Shared by the tests here, and ended after them."""
    made = Workers(engines=engines, folder=tmp_path_factory.mktemp("workers"))
    yield made
    for runtime in made.running:
        made.kill(runtime)


@pytest.fixture
def started(tmp_path: Path, command_env: dict[str, str]) -> Iterator[Start]:
    """Start the command without waiting for it."""
    processes: list[Process] = []

    def start(*words: str) -> Process:
        log = (tmp_path / "bench.log").open("wb")
        processes.append(subprocess.Popen([*COMMAND, *words], cwd=tmp_path, env=command_env, stdout=log, stderr=log))
        log.close()
        return processes[-1]

    yield start
    for process in processes:
        end(process)


def test_prompts_that_vllm_has_seen_before_are_a_warm_prefix_cache(
    tokenforge: Run, tmp_path: Path, workers: Workers
) -> None:
    url = workers.url("vllm")
    for out in ("first", "second"):
        done = tokenforge("bench", "--url", url, *LOAD, "--out", out)
        assert done.returncode == 0, done.stderr
    assert "warm_prefix_cache" not in codes_of(tmp_path / "first")
    assert "warm_prefix_cache" in codes_of(tmp_path / "second")


@pytest.mark.parametrize("runtime", ["vllm", "transformers"])
def test_wrong_usage_is_a_miscount(tokenforge: Run, tmp_path: Path, workers: Workers, runtime: str) -> None:
    with proxy_to(int(workers.url(runtime).rpartition(":")[2]), "usage:3") as front:
        url = f"http://127.0.0.1:{front}"
        done = tokenforge("bench", "--url", url, *LOAD, "--seed", "5", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "token_count" in codes_of(tmp_path / "out")


def test_an_engine_that_restarts_within_a_trial_is_found(started: Start, tmp_path: Path, workers: Workers) -> None:
    url = workers.url("transformers")
    bench = started("bench", "--url", url, "--rate", "4", "--duration", "60", "--out", "out", "--no-calibration")
    wait_for(trial_began(tmp_path / "out", 0))
    workers.kill("transformers")
    workers.url("transformers")
    bench.wait(120)
    assert {"server_restarted", "errors"} <= codes_of(tmp_path / "out")


THROTTLED = """
model: synthetic:tiny
runtimes: [transformers]
trials: 5
workloads:
  - {name: qa, concurrency: 2, requests: 40, prompt_len: 48, gen_tokens: 24}
"""


def test_an_engine_that_is_throttled_from_its_fourth_trial_on_drifts(started: Start, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(THROTTLED)
    bench = started("bench", "b.yaml", "--out", "out", "--no-calibration")
    wait_for(trial_began(tmp_path / "out", 3), limit_s=300)
    engine, is_over = process_named(bench.pid, "tokenforge.worker"), threading.Event()

    def throttle() -> None:
        """A third of the time, as a CPU limit does."""
        while not is_over.is_set():
            os.kill(engine, signal.SIGSTOP)
            time.sleep(0.04)
            os.kill(engine, signal.SIGCONT)
            time.sleep(0.02)

    thread = threading.Thread(target=throttle)
    thread.start()
    wait_for(lambda: trial_began(tmp_path / "out", 4)() or bench.poll() is not None, limit_s=120)
    time.sleep(2.0)
    is_over.set()
    thread.join()
    bench.wait(120)
    assert "drift" in codes_of(tmp_path / "out")


def test_an_engine_that_is_killed_is_a_dead_server(started: Start, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(THROTTLED.replace("requests: 40", "duration_s: 120"))
    bench = started("bench", "b.yaml", "--out", "out", "--no-calibration")
    wait_for(trial_began(tmp_path / "out", 0), limit_s=300)
    os.kill(process_named(bench.pid, "tokenforge.worker"), signal.SIGKILL)
    bench.wait(60)
    assert "server_died" in codes_of(tmp_path / "out")
