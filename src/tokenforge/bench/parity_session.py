"""`parity`: the reference from its start to its stop, then the candidate; the judgement and what it rests on in files.

One engine is up at a time, so a comparison needs no more memory than serving does. A server known by its address is
asked and left alone.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from tokenforge.analysis.parity import judge_parity
from tokenforge.bench.environment import read_environment, read_tool
from tokenforge.bench.parity import ParityAsk, needs_text, record_candidate, record_reference
from tokenforge.bench.targets import Kit, Target, find_model, start_target, url_target
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import InvalidInput, TokenForgeError, WorkerFailed
from tokenforge.domain.model import ModelRef
from tokenforge.domain.moments import moment_text
from tokenforge.domain.parity import ParityResult, Recording, Reference, not_measured
from tokenforge.domain.runtime import Quant, RuntimeRef
from tokenforge.models.resolve import ResolvedModel
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.report.parity_view import parity_markdown
from tokenforge.store.artifacts import open_run_folder, write_text

PARITY_FILE = "parity.json"
PARITY_MARKDOWN_FILE = "parity.md"
RECORDINGS_FILE = "recordings.json"
_STOP_GRACE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParitySide:
    """One side: a runtime to start, or the address of a server that runs. Exactly one of `runtime` and `url` is set.

    `quant` is what a runtime is started in, and what a server that does not tell its number format has.
    """

    runtime: RuntimeRef | None = None
    url: str | None = None
    quant: Quant | None = None
    engine_args: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRequest:
    """What to compare and where to write it. `command` holds no secret; `headers` go to servers known by address."""

    model: ModelRef
    sides: tuple[ParitySide, ParitySide]
    ask: ParityAsk
    folder: Path
    command: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityOutcome:
    """The result, and the document that `parity.json` holds."""

    result: ParityResult
    document: Mapping[str, object]


async def run_parity(request: ParityRequest, *, kit: Kit) -> ParityOutcome:
    """Record, judge, write. Raises TokenForgeError when a side does not come up or the command cannot be used."""
    open_run_folder(request.folder)
    model = await asyncio.to_thread(find_model, request.model, kit)
    session = _Session(request=request, model=model, kit=kit)
    try:
        recorded = await session.record()
        result = judge_parity(*recorded)
    except _Unasked as unasked:
        recorded, result = None, unasked.result
    finally:
        await asyncio.shield(kit.cluster.close())
    return await asyncio.to_thread(_write, request, model, result, recorded)


class _Unasked(Exception):
    """A side came up and could not be asked."""

    def __init__(self, result: ParityResult) -> None:
        super().__init__(result.sentence)
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    request: ParityRequest
    model: ResolvedModel
    kit: Kit

    async def record(self) -> tuple[Reference, Recording]:
        """Both sides, one after the other; those known by address are looked at first, since that is quick."""
        a, b = self.request.sides
        known = [await self._attach(side) if side.url is not None else None for side in (a, b)]
        as_text = needs_text(*(target for target in known if target is not None))
        as_text = as_text or any(side.runtime is not None and side.runtime.name == "openai" for side in (a, b))
        ask = self.request.ask
        target = known[0] or await self._start(a)
        try:
            self._say(target, "asking alone and in a batch")
            reference = await record_reference(target, ask, as_text=as_text)
            await self._stop(target)
            target = known[1] or await self._start(b)
            self._say(target, "asking the same")
            return reference, await record_candidate(target, ask, reference)
        except (WorkerFailed, InvalidInput):
            raise
        except TokenForgeError as error:
            raise _Unasked(self._unasked(target, error)) from error

    async def _start(self, side: ParitySide) -> Target:
        assert side.runtime is not None, "a side is a runtime or an address"
        args = {} if side.engine_args is None else {side.runtime.name: side.engine_args}
        benchmark = Benchmark(
            models=(self.model.ref,), runtimes=(side.runtime,), workloads=(), quant=side.quant, engine_args=args
        )
        return await start_target(self.model, side.runtime, benchmark, kit=self.kit)

    async def _attach(self, side: ParitySide) -> Target:
        assert side.url is not None
        ask = partial(
            url_target,
            side.url,
            runtime=side.url.partition("://")[2].rpartition("@")[2],
            headers=self.request.headers,
            tokenizer=load_tokenizer(self.model.folder),
        )
        try:
            target = await asyncio.to_thread(ask, model=None)
        except InvalidInput:  # it serves several models: then the name must be the one given
            target = await asyncio.to_thread(ask, model=str(self.model.ref))
        return target if side.quant is None else with_number_format(target, side.quant)

    async def _stop(self, target: Target) -> None:
        if target.worker is not None:
            self._say(target, "stopping")
            await target.worker.stop(grace_s=_STOP_GRACE_S)

    def _say(self, target: Target, words: str) -> None:
        self.kit.observer.phase(target.runtime, words)

    def _unasked(self, target: Target, error: TokenForgeError) -> ParityResult:
        a, b = (str(side.runtime or side.url) for side in self.request.sides)
        why = f"{target.runtime} could not be asked: {' '.join(error.message.split())}"
        return not_measured(model=str(self.model.ref), reference=a, candidate=b, code=error.code, why=why)


def with_number_format(target: Target, quant: Quant) -> Target:
    """What a server does not say of itself; what it says counts."""
    engine = dict(target.engine or {})
    told = engine.get("details")
    return replace(
        target, engine={**engine, "details": {"dtype": quant.value, **(told if isinstance(told, dict) else {})}}
    )


def _write(
    request: ParityRequest, model: ResolvedModel, result: ParityResult, recorded: tuple[Reference, Recording] | None
) -> ParityOutcome:
    now = datetime.now(UTC)
    checksum = None
    if recorded is not None:
        plain = to_plain({"reference": recorded[0], "candidate": recorded[1]})
        recordings = json.dumps(plain, separators=(",", ":"), allow_nan=False)
        checksum = write_text(request.folder / RECORDINGS_FILE, recordings + "\n")
    document = to_plain(
        {
            "id": f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}",
            "created_at": moment_text(now, "seconds"),
            "tool": read_tool(),
            "command": request.command,
            "ask": request.ask,
            "model": {"model": str(model.ref), "hashes": dict(model.hashes)},
            "environment": read_environment(),
            "parity": result,
            "recordings_sha256": checksum,
        }
    )
    assert isinstance(document, dict)
    write_text(request.folder / PARITY_FILE, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    page = "\n".join(parity_markdown(document["parity"], heading="# Parity"))
    write_text(request.folder / PARITY_MARKDOWN_FILE, page + "\n")
    return ParityOutcome(result=result, document=document)
