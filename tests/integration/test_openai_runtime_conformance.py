"""The `openai` runtime keeps the contract in front of our own worker: all over HTTP, with ids and without."""

import importlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import worker_rig

from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.openai import PLUG

sys.path.append(str(Path(__file__).parents[1] / "contract"))
conformance: Any = importlib.import_module("conformance")
CHECKS = (*conformance.CHECKS, *conformance.CLOSING_CHECKS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("models") / "tiny")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker_url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    launch = worker_rig.launch_of(model, engine_args={"max_num_seqs": 4, "step_ms": 1.0})
    async with worker_rig.running(tmp_path_factory.mktemp("worker"), launch) as worker:
        yield worker.url


@pytest_asyncio.fixture(loop_scope="module")
async def subject(worker_url: str, model: Path) -> AsyncIterator[Any]:
    args = {
        "base_url": worker_url, "model": "tiny", "prompt_form": "token_ids", "return_token_ids": True,
        "ignore_eos": True,
    }  # fmt: skip
    runtime = PLUG.build(RuntimeSpec(runtime="openai", model_path=str(model), served_name="m", engine_args=args))
    info = await runtime.start()
    yield conformance.Subject(runtime=runtime, info=info, tokenizer=load_tokenizer(model))
    await runtime.close(0.0)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_contract_holds_over_http(subject: Any, check: Any) -> None:
    await check(subject)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_simulated_worker_is_known_as_simulated_through_the_url(subject: Any) -> None:
    assert (subject.info.engine, subject.info.simulated) == ("sim", True)
