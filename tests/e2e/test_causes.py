"""What is wrong with a deployment is told with its cause, and the engine's last words, within seconds of the event."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from platform_rig import Up, own_home, up, wait_for

from tokenforge.models.synthetic import make_synthetic

SOON_S = 5.0
"""How long after the event a cause may take."""

SIM = {"model": "synthetic:tiny", "runtime": "sim"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("home")) as made:
        yield made


@contextlib.contextmanager
def deployed(platform: Up, **body: object) -> Iterator[str]:
    """A deployment until the end of the block; its name."""
    status, made = platform.call("POST", "/deploy", body)
    assert status == 202, made
    yield made["name"]
    platform.call("DELETE", f"/deployments/{made['name']}")


def cause_of(platform: Up, name: str, *, limit_s: float = 30.0) -> dict[str, Any]:
    """The condition that says what is wrong with its health, once there is one."""

    def told() -> dict[str, Any]:
        conditions = platform.call("GET", f"/deployments/{name}")[1]["conditions"]
        return next((c for c in conditions if c["type"] == "Healthy" and c["status"] == "False"), {})

    wait_for(lambda: bool(told()), limit_s=limit_s)
    return told()


def since(condition: dict[str, Any]) -> float:
    """When it became so, in Unix seconds."""
    return datetime.fromisoformat(condition["since"]).timestamp()


def logged(condition: dict[str, Any], words: str) -> float:
    """When the worker wrote the line with these words, in Unix seconds."""
    line = next(line for line in condition["last_words"] if words in line)
    return datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()


def test_a_folder_without_weights_is_told_before_anything_is_started(platform: Up, tmp_path: Path) -> None:
    folder = make_synthetic("tiny", tmp_path / "model")
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    asked_s = time.time()
    with deployed(platform, model=str(folder), runtime="transformers") as name:
        cause = cause_of(platform, name)
    assert cause["reason"] == "ModelNotFound"
    assert "*.safetensors" in cause["message"]
    assert since(cause) - asked_s < SOON_S


def test_a_model_that_does_not_fit_is_told_with_both_numbers_before_anything_is_started(platform: Up) -> None:
    asked_s = time.time()
    with deployed(platform, model="synthetic:tiny", runtime="transformers", resources={"memory": "1Mi"}) as name:
        cause = cause_of(platform, name)
    assert cause["reason"] == "NotEnoughMemory"
    assert len(re.findall(r"[\d.]+ GiB", cause["message"])) == 2
    assert since(cause) - asked_s < SOON_S


def test_an_engine_that_dies_is_told_with_its_last_words(platform: Up) -> None:
    with deployed(platform, **SIM, engine_args={"die_after_s": 0.1}) as name:
        cause = cause_of(platform, name)
    assert (cause["reason"], "died as told" in cause["message"]) == ("EngineDied", True)
    assert since(cause) - logged(cause, "engine failed") < SOON_S


def test_a_killed_worker_is_told_by_its_signal(platform: Up) -> None:
    with deployed(platform, **SIM) as name:
        wait_for(lambda: platform.call("GET", f"/deployments/{name}")[1]["ready"], limit_s=30)
        killed_s = time.time()
        for worker in platform.workers():
            worker.send_signal(signal.SIGKILL)
        cause = cause_of(platform, name)
    assert cause["reason"] == "WorkerDied"
    assert "killed by SIGKILL, not by the kernel for want of memory" in cause["message"]
    assert since(cause) - killed_s < SOON_S
    assert any("phase=ready" in line for line in cause["last_words"])


def test_a_server_that_is_attached_and_not_there_is_told(platform: Up) -> None:
    asked_s = time.time()
    body = {"model": "synthetic:tiny", "runtime": "openai", "engine_args": {"base_url": "http://127.0.0.1:1"}}
    with deployed(platform, **body) as name:
        cause = cause_of(platform, name)
    assert (cause["reason"], "127.0.0.1:1" in cause["message"]) == ("TargetUnreachable", True)
    assert since(cause) - asked_s < 3 * SOON_S


def test_engine_arguments_that_are_known_to_be_wrong_are_refused_at_once(platform: Up) -> None:
    status, body = platform.call("POST", "/deploy", {**SIM, "engine_args": {"setp_ms": 1}})
    assert (status, body["errors"][0]["field"]) == (400, "engine_args.setp_ms")
    assert body["errors"][0]["hint"] == "did you mean step_ms?"


def test_a_model_that_never_comes_up_is_told_at_the_limit(tmp_path: Path) -> None:
    with up(tmp_path / "home", TOKENFORGE_START_S="6") as platform:
        with deployed(platform, **SIM, engine_args={"start_ms": 600_000}) as name:
            cause = cause_of(platform, name, limit_s=40)
            events = json.loads(platform.run("logs", name, "--events", "--json").stdout)["events"]
        assert cause["reason"] == "StartTimeout"
        assert "was not ready after 6 s" in cause["message"]
        assert any("phase=loading" in line for line in cause["last_words"])
        started = next(event["at"] for event in events if event["reason"] == "Started")
        assert since(cause) - datetime.fromisoformat(started).timestamp() < 6 + SOON_S


@pytest.fixture(scope="module")
def on_engines(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Up]:
    """One with the environments that were made once, where `transformers` cannot be imported."""
    installing = [sys.executable, "-m", "tokenforge.cli", "runtimes", "install", "transformers"]
    subprocess.run(installing, env={**os.environ, "TOKENFORGE_HOME": str(home)}, check=True, timeout=500)
    broken = tmp_path_factory.mktemp("path")
    (broken / "transformers").mkdir()
    (broken / "transformers" / "__init__.py").write_text("raise ImportError('libfoo.so.1: cannot open shared object')")
    with up(own_home(tmp_path_factory.mktemp("home"), home), PYTHONPATH=str(broken)) as made:
        yield made


@pytest.mark.engine
@pytest.mark.timeout(600)
def test_an_engine_that_cannot_be_imported_is_told_with_the_importers_words(on_engines: Up) -> None:
    with deployed(on_engines, model="synthetic:tiny", runtime="transformers") as name:
        cause = cause_of(on_engines, name, limit_s=200)
    assert cause["reason"] == "EngineFailed"
    assert "libfoo.so.1" in cause["message"]
    assert since(cause) - logged(cause, "engine failed") < SOON_S
