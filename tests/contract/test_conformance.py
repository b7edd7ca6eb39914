"""Every runtime keeps the contract: the simulator in this process, the engines in their own environments."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from conformance import CHECKS, CLOSING_CHECKS
from conformance_engines import ENGINE_CHECKS, RECITAL_CHECKS
from engine_runs import ENGINES, Engines
from subject import Check, Subject

from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.sim import PLUG as SIM

ALWAYS = (
    "a_failed_start_is_told_and_can_be_closed",
    "the_loop_stays_free_during_start",
    "no_process_is_left_after_close",
)
ON_TINY = (*ALWAYS, *(check.__name__ for check in (*CHECKS, *ENGINE_CHECKS, *CLOSING_CHECKS)))
ON_SUCCESSOR = (*(check.__name__ for check in RECITAL_CHECKS), "an_engine_that_dies_ends_its_streams")


@pytest.fixture
async def simulator(models: Callable[[str], Path]) -> AsyncIterator[Subject]:
    folder = models("tiny")
    args = {"max_num_seqs": 4, "step_ms": 2.0, "start_ms": 0.0}
    runtime = SIM.build(RuntimeSpec(runtime="sim", model_path=str(folder), served_name="tiny", engine_args=args))
    info = await runtime.start()
    yield Subject(runtime=runtime, info=info, tokenizer=load_tokenizer(folder))
    await runtime.close(0.0)


@pytest.mark.parametrize("check", [*CHECKS, *CLOSING_CHECKS], ids=lambda check: check.__name__)
async def test_the_simulator_keeps_the_contract(simulator: Subject, check: Check) -> None:
    await check(simulator)


@pytest.mark.engine
@pytest.mark.timeout(480)
@pytest.mark.parametrize("check", ON_TINY)
@pytest.mark.parametrize("runtime", sorted(ENGINES))
def test_an_engine_keeps_the_contract(engines: Engines, runtime: str, check: str) -> None:
    fault = engines.result(runtime, "tiny")["checks"][check]
    assert fault is None, fault


@pytest.mark.engine
@pytest.mark.timeout(480)
@pytest.mark.parametrize("check", ON_SUCCESSOR)
@pytest.mark.parametrize("runtime", sorted(ENGINES))
def test_an_engine_gives_the_known_answers(engines: Engines, runtime: str, check: str) -> None:
    fault = engines.result(runtime, "successor")["checks"][check]
    assert fault is None, fault


@pytest.mark.engine
@pytest.mark.timeout(960)
def test_greedy_float32_is_the_same_token_by_token_in_every_engine(engines: Engines) -> None:
    first, *others = (engines.result(runtime, "tiny")["greedy"] for runtime in sorted(ENGINES))
    assert len(first) == 8
    assert all(other == first for other in others)
