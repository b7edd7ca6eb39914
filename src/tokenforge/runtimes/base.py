"""The engine plug: what a runtime must do, and what its plug says before anything heavy is imported.

A runtime's file imports its engine inside `build` or later, so the registry can list every plug on a laptop that has
none of them. Whoever writes a runtime proves it with the conformance suite in `tests/contract`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tokenforge.domain.generation import (
    Chunk,
    GenerateRequest,
    RuntimeInfo,
    RuntimeStats,
    ScoreRequest,
    TokenLogprob,
)
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.domain.worker import RuntimeSpec


class Runtime(Protocol):
    """One engine with one model, in this process. All coroutines run on one event loop."""

    async def start(self) -> RuntimeInfo:
        """Load and get ready to serve; the loop stays free meanwhile. Raises EngineError with the cause."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Yield chunks until one has `finish`. Closing the iterator, or cancelling its task, aborts in the engine.

        Raises InvalidRequest (too long, empty, an option this runtime lacks), Overloaded, EngineError, EngineDead;
        it never hangs after the engine died. Token-level runtimes leave `Chunk.text` empty.
        """
        ...

    async def abort(self, request_id: str) -> None:
        """End one request now; its stream ends with finish=abort. An unknown or finished id is no error."""
        ...

    async def health(self) -> None:
        """Return when the engine can serve, raise EngineDead when it cannot."""
        ...

    def stats(self) -> RuntimeStats:
        """A snapshot, without awaiting and without touching the engine's thread."""
        ...

    async def close(self, grace_s: float) -> None:
        """End: streams in flight get `grace_s` seconds, then finish=abort. Idempotent; safe after a failed start."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A runtime that can also score given tokens. Optional: who has it sets `Capabilities.prompt_logprobs`."""

    async def score(self, request: ScoreRequest) -> tuple[TokenLogprob, ...]:
        """One entry for each token but the first: its log-probability after those before it, and the likeliest ones.

        Raises what `generate` raises. The model is the one that serves; the path through it is that of a prompt.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedAnswer:
    """What a server behind a runtime answers: its head, and its body as it comes. `retry_after` is its header."""

    status: int
    content_type: str
    retry_after: str
    chunks: AsyncIterator[bytes]


@runtime_checkable
class Forwarder(Protocol):
    """A runtime with a server behind it, which can be asked in OpenAI's words as they came. Optional."""

    def forward(self, path: str, body: Mapping[str, object]) -> AbstractAsyncContextManager[ForwardedAnswer]:
        """POST `body` to `path` (`v1/...`) there, under the model's name there. Leaving early ends the work there.

        Raises EngineDead for a lost connection, EngineError for silence.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a runtime's environment is made. `version` is the resolved engine version.

    `requirements` are pip requirements; `overrides` replace requirements of their dependencies (uv's --override);
    `process_env` is set for workers of this environment. Empty `requirements` mean that the core install suffices.
    """

    version: str
    requirements: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    process_env: Mapping[str, str] = field(default_factory=dict)


def any_args(args: Mapping[str, object]) -> None:
    """No opinion on engine arguments before the engine is there."""


def here(args: Mapping[str, object]) -> bool:
    """The model is loaded here, whatever the arguments."""
    del args
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePlug:
    """What an entry point of group `tokenforge.runtimes` names: one runtime, cheap to import.

    `recipe(version, accelerator)` raises InvalidInput for a version it cannot make. `quants` is what the runtime can
    load, per accelerator. `build` makes the Runtime (and may import the engine). `check` raises InvalidInput for engine
    arguments that cannot be used, where that is known without the engine. `is_elsewhere`: with these arguments the
    model is on a server that runs already, so none is needed here. `share_arg` is the engine argument that says how
    much of a GPU's memory the engine fills (a share, 0 to 1); empty where there is none. `follow` is one
    machine's part of an engine on several, led from another: it returns when the engine ends; None for runtimes that
    stay on one machine.
    """

    name: str
    summary: str
    recipe: Callable[[str | None, Accelerator], Recipe]
    build: Callable[[RuntimeSpec], Runtime]
    quants: Mapping[Accelerator, frozenset[Quant]]
    check: Callable[[Mapping[str, object]], object] = any_args
    is_elsewhere: Callable[[Mapping[str, object]], bool] = here
    share_arg: str = ""
    follow: Callable[[RuntimeSpec], None] | None = None
