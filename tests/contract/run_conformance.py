"""Run the checks on one engine, in the engine's own environment, and write what came of each as JSON.

    <environment's python> run_conformance.py --plug tokenforge.runtimes.vllm:PLUG --model FOLDER --out FILE

The engine starts once. After the common checks it is killed (`--die`) or closed. Greedy ids of fixed prompts are kept,
so that two engines can be compared.
"""

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from conformance import CHECK_LIMIT_S, CHECKS, CLOSING_CHECKS
from conformance_engines import ENGINE_CHECKS, RECITAL_CHECKS
from own_children import words_of
from subject import Check, Subject, ask, greedy

from tokenforge.domain.errors import EngineDead, EngineError
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.successor import successor_recital
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.base import RuntimePlug

LOOP_LAG_LIMIT_S = 5.0
START_LIMIT_S = 240.0
"""For a start, which begins by importing the engine: on a busy machine that takes minutes, and is no fault of it."""

Results = dict[str, str | None]


async def run(plug: RuntimePlug, model: Path, engine_args: Mapping[str, object]) -> dict[str, object]:
    """Start, check, end. Each check's value is None, or what went wrong."""
    import_lag_s, fault = await _with_loop_lag(_noted(_failed_start(plug), limit_s=START_LIMIT_S))
    results: Results = {"a_failed_start_is_told_and_can_be_closed": fault}
    spec = RuntimeSpec(runtime=plug.name, model_path=str(model), served_name=model.name, engine_args=engine_args)
    runtime = plug.build(spec)
    began = time.monotonic()
    start_lag_s, info = await _with_loop_lag(runtime.start())
    lag_s = max(import_lag_s, start_lag_s)
    start_s = time.monotonic() - began
    lagged = lag_s > LOOP_LAG_LIMIT_S
    results["the_loop_stays_free_during_start"] = f"blocked for {lag_s:.1f} s" if lagged else None
    tokenizer = load_tokenizer(model)
    recital = successor_recital(tokenizer) if model.name == "successor" else None
    subject = Subject(runtime=runtime, info=info, tokenizer=tokenizer, recital=recital)
    outputs: list[list[int]] = []
    if recital is None:
        outputs = [(await ask(subject, subject.prompt(n, tokens=8 + 7 * n), greedy(32))).ids for n in range(8)]
    checks = (*CHECKS, *ENGINE_CHECKS) if recital is None else RECITAL_CHECKS
    last = CLOSING_CHECKS if recital is None else (_death_check(plug),)
    for check in (*checks, *last):
        results[check.__name__] = await _noted(check(subject))
    await runtime.close(0.0)
    results["no_process_is_left_after_close"] = _left_over()
    return {"info": asdict(info), "start_s": start_s, "loop_lag_s": lag_s, "checks": results, "greedy": outputs}


def _death_check(plug: RuntimePlug) -> Check:
    async def an_engine_that_dies_ends_its_streams(subject: Subject) -> None:
        """Open streams raise EngineDead soon, and so does every later call."""
        tasks = [asyncio.create_task(ask(subject, subject.prompt(n), greedy(400))) for n in range(4)]
        await asyncio.sleep(0.1)
        _KILLS[plug.name](subject)
        async with asyncio.timeout(20):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [EngineDead] * 4, ends
        for call in (subject.runtime.health(), ask(subject, subject.prompt(), greedy(4))):
            async with asyncio.timeout(5):
                try:
                    await call
                except EngineDead:
                    continue
            raise AssertionError("a dead engine served a call")

    return an_engine_that_dies_ends_its_streams


def _kill_children(_: Subject) -> None:
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "Engine" in child.name() or "Engine" in " ".join(words_of(child)):
                child.send_signal(signal.SIGKILL)


def _break_the_model(subject: Subject) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken on purpose")

    runtime: Any = subject.runtime
    runtime._batching._model.forward = fail


_KILLS: dict[str, Callable[[Subject], None]] = {"vllm": _kill_children, "transformers": _break_the_model}


async def _failed_start(plug: RuntimePlug) -> None:
    runtime = plug.build(RuntimeSpec(runtime=plug.name, model_path="/nowhere", served_name="nothing"))
    try:
        await runtime.start()
    except EngineError:
        await runtime.close(0.0)
        return
    raise AssertionError("a missing model was started")


async def _with_loop_lag(start: Any) -> tuple[float, Any]:
    task = asyncio.ensure_future(start)
    worst = 0.0
    while not task.done():
        before = time.monotonic()
        await asyncio.sleep(0.02)
        worst = max(worst, time.monotonic() - before - 0.02)
    return worst, await task


async def _noted(check: Any, *, limit_s: float = CHECK_LIMIT_S) -> str | None:
    try:
        async with asyncio.timeout(limit_s):
            await check
    except Exception:  # noqa: BLE001 - the edge of this process: every fault is a check's result
        return traceback.format_exc(limit=8)
    return None


def _left_over() -> str | None:
    left = [child for child in psutil.Process().children(recursive=True) if "tracker" not in " ".join(words_of(child))]
    _, alive = psutil.wait_procs(left, timeout=5)
    return f"still there: {[words_of(child) for child in alive]}" if alive else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, run, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plug", required=True)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--engine-args", default="{}", type=json.loads)
    chosen = parser.parse_args(arguments)
    module, _, name = chosen.plug.partition(":")
    plug: RuntimePlug = getattr(importlib.import_module(module), name)
    result = asyncio.run(run(plug, chosen.model, chosen.engine_args))
    chosen.out.write_text(json.dumps(result, indent=1))
    os._exit(0)


if __name__ == "__main__":
    main()
