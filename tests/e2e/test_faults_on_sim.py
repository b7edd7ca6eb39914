"""Faults that really happen, on the simulator: processes stopped, killed, restarted; proxies that lie or remember."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import COMMAND, Run
from fault_rig import codes_of, end, process_named, proxy_to, start_worker, trial_began, wait_for, worker_at

Start = Callable[..., "subprocess.Popen[str]"]
Models = Callable[[str], Path]

OF_THE_RIG = frozenset({"simulated", "machine_busy", "cpu_stolen", "too_few_trials", "too_few_requests"})
"""What is true of these short runs on any machine, and not the fault that was planted."""

OF_A_BUSY_MACHINE = frozenset({"generator_late", "generator_stalled", "arrivals_off", "instrument_error", "rate_off"})

SPEC = """
model: synthetic:tiny
runtimes: [sim]
trials: {trials}
engine_args: {{sim: {args}}}
workloads:
  - {{name: qa, qps: {qps}, duration_s: {seconds}, prompt_len: 24, gen_tokens: 16}}
"""


def spec(*, args: str = "{}", trials: int = 1, qps: float = 40, seconds: float = 3) -> str:
    return SPEC.format(args=args, trials=trials, qps=qps, seconds=seconds)


@pytest.fixture
def started(tmp_path: Path, command_env: dict[str, str]) -> Iterator[Start]:
    """Start the command without waiting for it."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str) -> "subprocess.Popen[str]":
        command = [*COMMAND, *words]
        processes.append(
            subprocess.Popen(
                command, cwd=tmp_path, env=command_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        end(process)
        process.communicate()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("{truncate_rate: 0.2}", {"truncated_output", "errors"}),
        ("{error_rate: 0.05}", {"errors"}),
        ("{usage_off_by: 3}", {"token_count", "output_length"}),
        ("{usage_off_by: -3}", {"token_count", "output_length"}),
        ("{step_ms: 60, max_num_seqs: 8}", {"over_saturated"}),
    ],
)
def test_an_engine_that_misbehaves_is_found(tokenforge: Run, tmp_path: Path, args: str, expected: set[str]) -> None:
    (tmp_path / "b.yaml").write_text(spec(args=args))
    assert tokenforge("bench", "b.yaml", "--out", "out", "--no-calibration").returncode == 0
    found = codes_of(tmp_path / "out", but=OF_THE_RIG | OF_A_BUSY_MACHINE)
    assert expected <= found <= expected | {"not_drained"}


def test_an_engine_stopped_in_pulses_from_the_third_trial_on_drifts(started: Start, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(spec(trials=5, seconds=1.5, qps=30))
    bench = started("bench", "b.yaml", "--out", "out", "--no-calibration")
    wait_for(trial_began(tmp_path / "out", 3))
    worker, is_over = process_named(bench.pid, "tokenforge.worker"), threading.Event()

    def pulse() -> None:
        while not is_over.is_set():
            os.kill(worker, signal.SIGSTOP)
            time.sleep(0.03)
            os.kill(worker, signal.SIGCONT)
            time.sleep(0.02)

    thread = threading.Thread(target=pulse)
    thread.start()
    wait_for(lambda: trial_began(tmp_path / "out", 4)() or bench.poll() is not None)
    time.sleep(1.2)
    is_over.set()
    thread.join()
    bench.communicate(timeout=60)
    assert "drift" in codes_of(tmp_path / "out")


def test_a_load_generator_that_is_held_up_is_found(started: Start, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(spec(seconds=4))
    bench = started("bench", "b.yaml", "--out", "out", "--no-calibration")
    wait_for(trial_began(tmp_path / "out", 0))
    driver = process_named(bench.pid, "tokenforge.bench.driver")
    os.kill(driver, signal.SIGSTOP)
    time.sleep(0.4)
    os.kill(driver, signal.SIGCONT)
    bench.communicate(timeout=60)
    assert {"generator_stalled", "generator_late"} <= codes_of(tmp_path / "out")


def test_a_worker_of_ours_that_is_killed_is_a_dead_server(started: Start, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(spec(seconds=60))
    bench = started("bench", "b.yaml", "--out", "out", "--no-calibration")
    wait_for(trial_began(tmp_path / "out", 0))
    os.kill(process_named(bench.pid, "tokenforge.worker"), signal.SIGKILL)
    bench.communicate(timeout=60)
    assert "server_died" in codes_of(tmp_path / "out")


def test_a_server_that_restarts_within_a_trial_is_found(
    started: Start, tmp_path: Path, command_env: dict[str, str], models: Models
) -> None:
    with worker_at(tmp_path, models("tiny"), env=command_env) as port:
        url = f"http://127.0.0.1:{port}"
        bench = started("bench", "--url", url, "--rate", "20", "--duration", "6", "--out", "out", "--no-calibration")
        wait_for(trial_began(tmp_path / "out", 0))
        _kill_listener(port)
        again = start_worker(tmp_path, models("tiny"), port=port, env=command_env)
        bench.communicate(timeout=60)
        end(again)
    assert {"server_restarted", "errors"} <= codes_of(tmp_path / "out")


@pytest.mark.parametrize(("mode", "code"), [("usage:3", "token_count"), ("cache:0.25", "cached_responses")])
def test_a_proxy_that_lies_or_remembers_is_found(
    tokenforge: Run, tmp_path: Path, command_env: dict[str, str], models: Models, mode: str, code: str
) -> None:
    with worker_at(tmp_path, models("tiny"), env=command_env) as port, proxy_to(port, mode) as front:
        words = ("--url", f"http://127.0.0.1:{front}", "--rate", "20", "--duration", "3", "--gen-tokens", "16")
        done = tokenforge("bench", *words, "--out", "out", "--no-calibration")
    assert done.returncode == 0, done.stderr
    assert code in codes_of(tmp_path / "out")
    assert code in done.stdout.splitlines()[1]


def _kill_listener(port: int) -> None:
    """Kill whoever listens at the port."""
    import psutil

    listening = [
        one.pid
        for one in psutil.net_connections("tcp")
        if one.laddr and one.laddr.port == port and one.status == psutil.CONN_LISTEN and one.pid is not None
    ]
    assert listening
    os.kill(listening[0], signal.SIGKILL)
