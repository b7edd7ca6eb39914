"""The example plug-in, installed as a user would: seen by the registry, kept to the contract, served, benchmarked."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import worker_rig
from uv import find_uv_bin

from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import load_tokenizer

EXAMPLE = Path(__file__).parents[2] / "examples" / "runtime-plugin"
sys.path.append(str(Path(__file__).parents[1] / "contract"))
conformance: Any = importlib.import_module("conformance")
CHECKS = (*conformance.CHECKS, *conformance.CLOSING_CHECKS)
BENCHMARK = """
model: synthetic:tiny
runtimes: [echo]
workloads:
  - {name: closed, concurrency: 4, requests: 64, prompt_len: 32, gen_tokens: 16}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built and installed package."""
    target = tmp_path_factory.mktemp("installed")
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(EXAMPLE)]
    subprocess.run([*command, "--python", sys.executable], check=True, timeout=90)
    return target


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
async def subject(installed: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.syspath_prepend(str(installed))
    plug = importlib.import_module("tokenforge_echo.runtime").PLUG
    runtime = plug.build(RuntimeSpec(runtime="echo", model_path=str(model), served_name="tiny"))
    info = await runtime.start()
    yield conformance.Subject(runtime=runtime, info=info, tokenizer=load_tokenizer(model))
    await runtime.close(0.0)


def run_tokenforge(installed: Path, folder: Path, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed), "TOKENFORGE_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    command = [str(Path(sys.executable).with_name("tokenforge")), *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_registry_lists_it_beside_our_own(installed: Path, tmp_path: Path) -> None:
    rows = json.loads(run_tokenforge(installed, tmp_path, "runtimes", "--json"))
    assert {row["name"] for row in rows} >= {"echo", "openai", "sim", "transformers", "vllm"}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(subject: Any, check: Any) -> None:
    await check(subject)


async def test_a_worker_serves_it(installed: Path, model: Path, tmp_path: Path) -> None:
    launch = worker_rig.launch_of(model, runtime="echo", env={"PYTHONPATH": str(installed)})
    prompt = load_tokenizer(model).encode("once more ")
    async with worker_rig.running(tmp_path, launch) as worker:
        answer = await worker_rig.complete(worker, prompt=prompt, max_tokens=2 * len(prompt))
    assert answer.json()["choices"][0]["text"].split() == ["once", "more", "once", "more"]


def test_a_benchmark_of_it_runs_and_is_marked_as_simulated(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "echo.yaml").write_text(BENCHMARK)
    run_tokenforge(installed, tmp_path, "bench", "echo.yaml", "--out", "out")
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert [(run["status"], run["engine"]["simulated"]) for run in record["runs"]] == [("succeeded", True)]
