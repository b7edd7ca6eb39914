"""Any server that speaks OpenAI's completions, as a runtime: at a URL, or started here from a command.

What comes back is text, and ids only where the server gives them, so counts rest on its usage: the last chunk is held
until usage has come. Quirks are options (`openai_settings`), not guesses. A key never enters a message.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tokenforge import __version__
from tokenforge.domain.deployment import RuntimeSpec
from tokenforge.domain.errors import (
    EngineDead,
    EngineError,
    Fault,
    InvalidInput,
    InvalidRequest,
    Overloaded,
    RuntimeFault,
)  # fmt: skip
from tokenforge.domain.generation import (
    Capabilities,
    Chunk,
    FinishReason,
    GenerateRequest,
    RuntimeInfo,
    RuntimeStats,
    Usage,
)  # fmt: skip
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.models.tokenizers import TOKENIZER_FILE, load_tokenizer
from tokenforge.protocol.sse import SseParser
from tokenforge.runtimes.base import Recipe, RuntimePlug
from tokenforge.runtimes.open_streams import OpenStreams
from tokenforge.runtimes.openai_command import ServerCommand
from tokenforge.runtimes.openai_settings import read_openai_settings
from tokenforge.runtimes.refusals import refuse_unfit

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_POLL_S = 0.25
_ANSWER_LIMIT_S = 10.0
_SILENCE_LIMIT_S = 600.0
_FALLBACK_WINDOW = 1 << 20


class OpenAIRuntime:
    """One server, one of its models."""

    def __init__(self, spec: RuntimeSpec) -> None:
        self._spec = spec
        self._settings = read_openai_settings(spec.engine_args)
        folder = Path(spec.model_path)
        self._tokenizer = load_tokenizer(folder) if (folder / TOKENIZER_FILE).is_file() else None
        self._command = ServerCommand(self._settings.command) if self._settings.command else None
        self._session: ClientSession | None = None
        self._info: RuntimeInfo | None = None
        self._streams = OpenStreams()
        self._aborted: set[str] = set()

    async def start(self) -> RuntimeInfo:
        """Start the command if there is one, and wait until the server lists the model."""
        import aiohttp

        key = self._settings.api_key
        self._session = aiohttp.ClientSession(
            base_url=self._base(),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER_LIMIT_S, sock_read=_SILENCE_LIMIT_S),
        )
        if self._command is not None:
            try:
                await self._command.start()
            except OSError as error:
                raise EngineError(f"{self._settings.command[0]} could not be started: {error.strerror}") from error
        listed = await self._wait_for_models()
        self._info = self._describe(listed)
        return self._info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Stream one completion. Closing the iterator closes the connection, which is how such servers are told."""
        info, session = self._ready()
        vocab = 1 << 31 if self._tokenizer is None else self._tokenizer.vocab_size
        refuse_unfit(request, info, vocab_size=vocab)
        try:
            with self._streams.hold(request.request_id):
                async with session.post("v1/completions", json=self._body(request)) as response:
                    await _raise_for_status(response)
                    async for chunk in self._chunks(response, request):
                        yield chunk
        except OSError as error:
            raise EngineDead(f"the connection to the server was lost: {type(error).__name__}") from error
        except TimeoutError as error:
            raise EngineError(f"the server was silent for {_SILENCE_LIMIT_S:.0f} s") from error
        finally:
            self._aborted.discard(request.request_id)

    async def abort(self, request_id: str) -> None:
        """The stream ends with finish=abort at its next read."""
        if request_id in self._streams:
            self._aborted.add(request_id)

    async def health(self) -> None:
        """Ask for the list of models. Raises EngineDead when it does not come."""
        _, session = self._ready()
        if self._command is not None and self._command.exit_code is not None:
            raise EngineDead(
                f"the server ended with exit code {self._command.exit_code}: {self._command.last_words(3)}"
            )
        if await self._models(session) is None:
            raise EngineDead("the server does not answer GET /v1/models")

    def stats(self) -> RuntimeStats:
        """Streams open from here; what else the server does is unknown."""
        return RuntimeStats(running=len(self._streams), waiting=0)

    async def close(self, grace_s: float) -> None:
        """Wait for open streams, abort them, close connections, stop the command."""
        self._streams.refuse_more()
        if not await self._streams.ended(timeout_s=grace_s):
            self._aborted |= set(self._streams.ids())
        if self._session is not None:
            await self._session.close()
        if self._command is not None:
            await self._command.stop(grace_s)

    def _base(self) -> str:
        if self._command is not None:
            return f"http://127.0.0.1:{self._command.port}/"
        return (self._settings.base_url or "").rstrip("/").removesuffix("/v1") + "/"

    def _ready(self) -> "tuple[RuntimeInfo, ClientSession]":
        if self._info is None or self._session is None or self._session.closed:
            raise EngineDead("the runtime is not started, or closed")
        return self._info, self._session

    async def _wait_for_models(self) -> Mapping[str, Mapping[str, object]]:
        assert self._session is not None
        deadline = time.monotonic() + (self._settings.start_limit_s if self._command else _ANSWER_LIMIT_S)
        while (models := await self._models(self._session)) is None:
            if self._command is not None and self._command.exit_code is not None:
                raise EngineError(f"the server ended while starting: {self._command.last_words()}")
            if time.monotonic() > deadline:
                raise EngineError(f"no answer from {self._base()}v1/models", hint="Is the server up?")
            await asyncio.sleep(_POLL_S)
        return models

    async def _models(self, session: "ClientSession") -> Mapping[str, Mapping[str, object]] | None:
        try:
            async with asyncio.timeout(_ANSWER_LIMIT_S), session.get("v1/models") as response:
                answer = await response.json(content_type=None) if response.status == 200 else None
        except (OSError, ValueError):
            return None
        listed = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(listed, list):
            return None
        return {str(m["id"]): m for m in listed if isinstance(m, dict) and "id" in m}

    def _describe(self, listed: Mapping[str, Mapping[str, object]]) -> RuntimeInfo:
        name = self._settings.model or (next(iter(listed)) if len(listed) == 1 else self._spec.model_path)
        if listed and name not in listed:
            raise EngineError(
                f"the server does not serve '{name}'", hint=f"engine_args.openai.model: {', '.join(listed)}"
            )
        window = listed.get(name, {}).get("max_model_len")
        told = window if isinstance(window, int) else None
        ids = self._settings.return_token_ids
        return RuntimeInfo(
            runtime="openai",
            engine="openai-compatible server",
            engine_version="unknown",
            model=name,
            max_model_len=self._spec.max_model_len or told or self._config_window() or _FALLBACK_WINDOW,
            capabilities=Capabilities(seed=True, top_k=ids, ignore_eos=self._settings.ignore_eos),
            token_level=ids,
            details={"base_url": self._base(), "prompt_form": self._settings.prompt_form},
        )

    def _config_window(self) -> int | None:
        path = Path(self._spec.model_path) / "config.json"
        window = json.loads(path.read_text()).get("max_position_embeddings") if path.is_file() else None
        return window if isinstance(window, int) else None

    def _body(self, request: GenerateRequest) -> dict[str, object]:
        sampling = request.sampling
        body: dict[str, object] = {
            "model": self._info.model if self._info else "", "prompt": self._prompt(request), "stream": True,
            "max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p,
            "stream_options": {"include_usage": True},
        }  # fmt: skip
        optional: dict[str, tuple[bool, object]] = {
            "seed": (sampling.seed is not None, sampling.seed),
            "stop": (bool(sampling.stop), list(sampling.stop)),
            "top_k": (sampling.top_k > 0, sampling.top_k),
            "ignore_eos": (sampling.ignore_eos, True),
            "return_token_ids": (self._settings.return_token_ids, True),
        }
        return body | {name: value for name, (is_wanted, value) in optional.items() if is_wanted}

    def _prompt(self, request: GenerateRequest) -> str | list[int]:
        if self._settings.prompt_form == "token_ids":
            return list(request.prompt_ids)
        if self._tokenizer is None:
            hint = "give a model folder with a tokenizer, or engine_args.openai.prompt_form: token_ids"
            raise InvalidRequest("token ids cannot be sent as text without a tokenizer", field="prompt", hint=hint)
        return self._tokenizer.decode(request.prompt_ids)

    async def _chunks(self, response: "ClientResponse", request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Chunks of the stream; the last one is held until usage has come or the stream has ended."""
        parser, last = SseParser(), None
        usage = Usage(prompt_tokens=len(request.prompt_ids), completion_tokens=0)
        async for received in response.content.iter_any():
            if request.request_id in self._aborted:
                yield Chunk(finish=FinishReason.ABORT, usage=usage, made_ns=time.monotonic_ns())
                return
            for event in parser.feed(received):
                if event.data == "[DONE]":
                    continue
                chunk, usage = _read_event(event.data, usage)
                if chunk.finish is not None:
                    last = chunk
                elif last is None and (chunk.text or chunk.token_ids):
                    yield chunk
        if last is None:
            raise EngineError("the server's stream ended without a finish reason")
        yield replace(last, usage=usage)


def _read_event(data: str, usage: Usage) -> tuple[Chunk, Usage]:
    """One event: its chunk, and usage so far (the server's where it tells, else one token an event with text)."""
    try:
        event = json.loads(data)
    except ValueError as error:
        raise EngineError(f"the server sent an event that is not JSON: {data[:80]!r}") from error
    if not isinstance(event, dict) or "error" in event:
        raise EngineError(f"the server reported an error: {str(event)[:300]}")
    choices = event.get("choices") or [{}]
    choice = choices[0]
    text, ids = choice.get("text") or "", tuple(choice.get("token_ids") or ())
    told = event.get("usage")
    if told:
        usage = Usage(prompt_tokens=told["prompt_tokens"], completion_tokens=told["completion_tokens"])
    elif text or ids:
        usage = replace(usage, completion_tokens=usage.completion_tokens + max(1, len(ids)))
    finish = None if choice.get("finish_reason") is None else _finish(choice["finish_reason"])
    chunk = Chunk(
        token_ids=ids, text="" if ids else text, finish=finish, stop_reason=choice.get("stop_reason"), usage=usage,
        made_ns=time.monotonic_ns(),
    )  # fmt: skip
    return chunk, usage


def _finish(reason: str) -> FinishReason:
    return FinishReason(reason) if reason in set(FinishReason) else FinishReason.STOP


async def _raise_for_status(response: "ClientResponse") -> None:
    if response.status < 400:
        return
    words = (await response.text())[:300]
    raise _fault(response.status, words, response.headers.get("retry-after", ""))


def _fault(status: int, words: str, retry_after: str) -> RuntimeFault:
    if status in {429, 503}:
        seconds = float(retry_after) if retry_after.isdigit() else 1.0
        return Overloaded(f"the server is full (HTTP {status}): {words}", retry_after_s=seconds)
    if status < 500:
        return InvalidRequest(f"the server refused the request (HTTP {status}): {words}")
    return EngineError(f"the server failed (HTTP {status}): {words}")


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
)
