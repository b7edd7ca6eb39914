"""Any server that speaks OpenAI's completions, as a runtime: at a URL, or started here from a command.

What comes back is text, and ids only where the server gives them, so counts rest on its usage: the last chunk is held
until usage has come. Quirks are options (`openai_settings`), not guesses. A key never enters a message.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge import __version__
from tokenforge.domain.benchmark import without_userinfo
from tokenforge.domain.errors import EngineDead, EngineError, Fault, InvalidInput, InvalidRequest, TargetUnreachable
from tokenforge.domain.generation import (
    Capabilities,
    Chunk,
    FinishReason,
    GenerateRequest,
    RuntimeInfo,
    RuntimeStats,
)
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.tokenizers import TOKENIZER_FILE, load_tokenizer, read_json
from tokenforge.protocol.sse import SseParser
from tokenforge.runtimes.base import ForwardedAnswer, Recipe, RuntimePlug
from tokenforge.runtimes.open_streams import OpenStreams
from tokenforge.runtimes.openai_answer import AnswerReader
from tokenforge.runtimes.openai_command import ServerCommand
from tokenforge.runtimes.openai_server import Server
from tokenforge.runtimes.openai_settings import read_openai_settings
from tokenforge.runtimes.refusals import refuse_unfit

_POLL_S = 0.25
_LAST_BYTES_LIMIT_S = 1.0
_THERE_LIMIT_S = 3.0
"""How long a server that is said to run may not answer."""

_FALLBACK_WINDOW = 1 << 20
_ANY_ID = 1 << 31


@dataclass(slots=True, kw_only=True)
class _Stream:
    """One request in flight. `out` gets chunks, and what ended the task that reads them."""

    reader: AnswerReader
    out: "asyncio.Queue[Chunk | BaseException]" = field(default_factory=asyncio.Queue)
    task: "asyncio.Task[None] | None" = None


class OpenAIRuntime:
    """One server, one of its models."""

    def __init__(self, spec: RuntimeSpec) -> None:
        self._spec = spec
        self._settings = read_openai_settings(spec.engine_args)
        folder = Path(spec.model_path)
        self._tokenizer = load_tokenizer(folder) if (folder / TOKENIZER_FILE).is_file() else None
        words = self._settings.command
        self._command = ServerCommand(words, model=spec.model_path) if words else None
        self._server: Server | None = None
        self._info: RuntimeInfo | None = None
        self._ids = OpenStreams()
        self._open: dict[str, _Stream] = {}

    async def start(self) -> RuntimeInfo:
        """Start the command if there is one, and wait until the server lists the model."""
        self._server = server = Server(self._base(), api_key=self._settings.api_key)
        if self._command is not None:
            await self._command.start()
        listed = await self._wait_for_models(server)
        name = self._choose(listed)
        told = listed.get(name, {})
        self._info = self._describe(name, window=told.get("max_model_len"), who=await server.identity(told))
        return self._info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Stream one completion. Closing the iterator closes the connection, which is how such servers are told."""
        info, server = self._ready()
        refuse_unfit(request, info, vocab_size=_ANY_ID if self._tokenizer is None else self._tokenizer.vocab_size)
        body = self._body(request, model=info.model)
        with self._ids.hold(request.request_id):
            stream = _Stream(reader=self._new_reader(request))
            self._open[request.request_id] = stream
            stream.task = asyncio.create_task(_read(server, body, stream))
            stream.task.add_done_callback(lambda task: _tell_end(task, stream))
            is_over = False
            try:
                while not isinstance(item := await stream.out.get(), BaseException):
                    is_over = item.finish is not None
                    yield item
                    if is_over:
                        return
                if isinstance(item, EngineDead):
                    await self._tell_command_end()
                raise item
            finally:
                if is_over:  # the connection can be used again when the answer is read to its end
                    await asyncio.wait({stream.task}, timeout=_LAST_BYTES_LIMIT_S)
                del self._open[request.request_id]
                stream.task.cancel()
                await asyncio.gather(stream.task, return_exceptions=True)

    @asynccontextmanager
    async def forward(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[ForwardedAnswer, None]:
        """The server's own answer."""
        info, server = self._ready()
        async with server.forward(path, {**body, "model": info.model}) as answer:
            yield answer

    async def abort(self, request_id: str) -> None:
        """End the stream with finish=abort now, whatever the server does; its connection is closed."""
        stream = self._open.get(request_id)
        if stream is not None and stream.task is not None:
            usage = stream.reader.usage
            stream.out.put_nowait(Chunk(finish=FinishReason.ABORT, usage=usage, made_ns=time.monotonic_ns()))
            stream.task.cancel()

    async def health(self) -> None:
        """Ask the server. Raises EngineDead when it does not answer, or when its command has ended."""
        _, server = self._ready()
        self._require_command(EngineDead, "the server ended")
        try:
            await server.require_alive()
        except EngineDead:
            await self._tell_command_end()
            raise

    def stats(self) -> RuntimeStats:
        """Streams open from here; what else the server does is unknown."""
        return RuntimeStats(running=len(self._open), waiting=0)

    async def close(self, grace_s: float) -> None:
        """Wait for open streams, abort them, close connections, stop the command."""
        self._ids.refuse_more()
        await self._ids.ended(timeout_s=grace_s)
        for request_id in tuple(self._open):
            await self.abort(request_id)
        if self._server is not None:
            await self._server.close()
        if self._command is not None:
            await self._command.stop(grace_s)

    def _base(self) -> str:
        if self._command is not None:
            return f"http://127.0.0.1:{self._command.port}/"
        return (self._settings.base_url or "").rstrip("/").removesuffix("/v1") + "/"

    def _ready(self) -> tuple[RuntimeInfo, Server]:
        if self._info is None or self._server is None or self._server.is_closed:
            raise EngineDead("the runtime is not started, or closed")
        return self._info, self._server

    def _require_command(self, error: type[EngineDead] | type[EngineError], what: str) -> None:
        if self._command is not None and self._command.exit_code is not None:
            raise error(f"{what} with exit code {self._command.exit_code}: {self._command.last_words()}")

    async def _tell_command_end(self) -> None:
        """Raise the better cause, when the connection was lost because our command has ended (or is about to)."""
        if self._command is not None and await self._command.ended(timeout_s=_LAST_BYTES_LIMIT_S):
            self._require_command(EngineDead, "the server ended")

    async def _wait_for_models(self, server: Server) -> Mapping[str, Mapping[str, object]]:
        limit_s = self._settings.start_limit_s if self._command else _THERE_LIMIT_S
        deadline = time.monotonic() + limit_s
        while (models := await self._models(server)) is None:
            self._require_command(EngineError, "the server ended while it started")
            if time.monotonic() > deadline:
                words = f": {self._command.last_words(3)}" if self._command is not None else ""
                what = f"no answer from {without_userinfo(server.base)}v1/models in {limit_s:g} s{words}"
                raise TargetUnreachable(what, hint="Is the server up?") if self._command is None else EngineError(what)
            await asyncio.sleep(_POLL_S)
        return models

    async def _models(self, server: Server) -> Mapping[str, Mapping[str, object]] | None:
        """What the server lists, None while it is not ready. Where lists say nothing, its health decides."""
        listed = await server.models()
        if listed is None and not self._settings.model_listed:
            with contextlib.suppress(EngineDead):
                await server.require_alive()
                return {}
        return listed

    def _choose(self, listed: Mapping[str, object]) -> str:
        settings = self._settings
        served = self._spec.served_name
        fallback = next(iter(listed)) if len(listed) == 1 else self._spec.model_path
        name = settings.model or (served if served in listed else fallback)
        if settings.model_listed and listed and name not in listed:
            hint = f"set engine_args.openai.model to one of: {', '.join(listed)}"
            raise EngineError(f"the server does not list '{name}'", hint=hint)
        return name

    def _describe(self, name: str, *, window: object, who: Mapping[str, object]) -> RuntimeInfo:
        settings = self._settings
        told = window if isinstance(window, int) else read_json(Path(self._spec.model_path) / "config.json").get(
            "max_position_embeddings"
        )  # fmt: skip
        kv_tokens, max_num_seqs = who.get("kv_tokens"), who.get("max_num_seqs")
        return RuntimeInfo(
            runtime="openai",
            engine=str(who["engine"]),
            engine_version=str(who["engine_version"]),
            model=name,
            max_model_len=self._spec.max_model_len or (told if isinstance(told, int) else _FALLBACK_WINDOW),
            capabilities=Capabilities(
                seed=settings.seed,
                stop=settings.stop or settings.return_token_ids,
                top_k=settings.return_token_ids,
                ignore_eos=settings.ignore_eos,
                min_tokens=settings.ignore_eos,
            ),
            kv_tokens=kv_tokens if isinstance(kv_tokens, int) else None,
            max_num_seqs=max_num_seqs if isinstance(max_num_seqs, int) else None,
            token_level=settings.return_token_ids,
            simulated=who.get("simulated") is True,
            details={"prompt_form": settings.prompt_form, "counted_by": self._counted_by()},
        )

    def _counted_by(self) -> str:
        if self._settings.usage_in_stream:
            return "server"
        return "tokenizer" if self._tokenizer is not None else "events"

    def _new_reader(self, request: GenerateRequest) -> AnswerReader:
        tokenizer = self._tokenizer
        count = None if tokenizer is None else lambda text: len(tokenizer.encode(text))
        return AnswerReader(request, wants_ids=self._settings.return_token_ids, count=count)

    def _body(self, request: GenerateRequest, *, model: str) -> dict[str, object]:
        sampling, settings = request.sampling, self._settings
        body: dict[str, object] = {
            "model": model, "prompt": self._prompt(request), "stream": True, "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature, "top_p": sampling.top_p,
        }  # fmt: skip
        optional: dict[str, tuple[bool, object]] = {
            "stream_options": (settings.usage_in_stream, {"include_usage": True}),
            "seed": (sampling.seed is not None, sampling.seed),
            "stop": (bool(sampling.stop) and not settings.return_token_ids, list(sampling.stop)),
            "top_k": (sampling.top_k > 0, sampling.top_k),
            "ignore_eos": (sampling.ignore_eos, True),
            "min_tokens": (sampling.min_tokens > 0, sampling.min_tokens),
            "return_token_ids": (settings.return_token_ids, True),
        }
        return body | {name: value for name, (is_wanted, value) in optional.items() if is_wanted}

    def _prompt(self, request: GenerateRequest) -> str | list[int]:
        if self._settings.prompt_form == "token_ids":
            return list(request.prompt_ids)
        if self._tokenizer is None:
            hint = "give a model folder with a tokenizer, or engine_args.openai.prompt_form: token_ids"
            raise InvalidRequest("token ids cannot be sent as text without a tokenizer", field="prompt", hint=hint)
        added = tuple(self._tokenizer.raw.encode("").ids)  # what the server's tokenizer puts before every text itself
        ids = request.prompt_ids[len(added) :] if request.prompt_ids[: len(added)] == added else request.prompt_ids
        return self._tokenizer.decode(ids, skip_special=False)


async def _read(server: Server, body: Mapping[str, object], stream: _Stream) -> None:
    """Put every chunk of the answer into `out`, the last one when usage is known."""
    parser, reader, is_ended = SseParser(), stream.reader, False
    async with server.post("v1/completions", body) as response:
        async for received in response.content.iter_any():
            for event in parser.feed(received):
                if event.data == "[DONE]":
                    stream.out.put_nowait(reader.end())
                    is_ended = True
                elif not is_ended and (chunk := reader.read(event.data)) is not None:
                    stream.out.put_nowait(chunk)
    if not is_ended:
        stream.out.put_nowait(reader.end())


def _tell_end(task: "asyncio.Task[None]", stream: _Stream) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        stream.out.put_nowait(error)


def _recipe(version: str | None, _: Accelerator) -> Recipe:
    if version is not None:
        hint = "the server has its own version; write `openai`"
        raise InvalidInput([Fault(field="runtime", value=f"openai@{version}", message="has no versions", hint=hint)])
    return Recipe(version=__version__)


PLUG = RuntimePlug(
    name="openai",
    summary="Any OpenAI-compatible server: at a URL, or started from a command",
    recipe=_recipe,
    build=OpenAIRuntime,
    quants=dict.fromkeys(Accelerator, frozenset(Quant)),
    check=read_openai_settings,
    is_elsewhere=lambda args: "base_url" in args,
)
