"""Ask one server for greedy answers and for the log-probabilities of given tokens, over OpenAI's completions.

Scores travel as `prompt_logprobs`, vLLM's addition, which our workers speak too. A server that has
neither token ids nor scores is asked for text alone. Every request has a time limit.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import aiohttp

from tokenforge.bench.targets import Target
from tokenforge.domain.errors import EngineError, InvalidRequest, TargetUnreachable
from tokenforge.domain.generation import TokenLogprob
from tokenforge.domain.parity import Answer, Scores
from tokenforge.domain.plan import PromptForm
from tokenforge.protocol.openai_logprobs import LEAST_LOGPROB

_REQUEST_LIMIT_S = 300.0
_CONNECT_LIMIT_S = 10.0


class ParityClient:
    """One server. Use as an async context manager; `batch` requests at once."""

    def __init__(self, target: Target, *, batch: int) -> None:
        self._target = target
        self._slots = asyncio.Semaphore(batch)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "ParityClient":
        timeout = aiohttp.ClientTimeout(total=_REQUEST_LIMIT_S, sock_connect=_CONNECT_LIMIT_S)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(headers=dict(self._target.headers), timeout=timeout, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def answers(self, prompts: Sequence[tuple[int, ...] | str], *, tokens: int) -> tuple[Answer, ...]:
        """A greedy answer to each prompt, of up to `tokens` tokens; the model may end it earlier."""
        return tuple(await _all([self._answer(prompt, tokens=tokens) for prompt in prompts]))

    async def scores(
        self, prompts: Sequence[tuple[int, ...]], answers: Sequence[Answer], *, top: int
    ) -> tuple[Scores, ...]:
        """Of each answer's tokens. Raises InvalidRequest when the server does not give them."""
        pairs = zip(prompts, answers, strict=True)
        return tuple(await _all([self._score(prompt, answer.ids or (), top=top) for prompt, answer in pairs]))

    async def _answer(self, prompt: tuple[int, ...] | str, *, tokens: int) -> Answer:
        wants_ids = self._target.form is PromptForm.TOKEN_IDS
        extra = {"return_token_ids": True} if wants_ids else {}
        body = await self._complete(prompt, max_tokens=tokens, temperature=0, **extra)
        choice, usage = _choice(body), body.get("usage")
        ids = choice.get("token_ids")
        known = tuple(ids) if isinstance(ids, list) and all(type(one) is int for one in ids) else None
        counted = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
        text, finish = choice.get("text"), choice.get("finish_reason")
        return Answer(
            ids=known,
            text=text if isinstance(text, str) else "",
            finish=finish if isinstance(finish, str) else None,
            output_tokens=counted if isinstance(counted, int) else len(known or ()),
        )

    async def _score(self, prompt: tuple[int, ...], answer: tuple[int, ...], *, top: int) -> Scores:
        if not answer:
            return ()
        body = await self._complete((*prompt, *answer), max_tokens=1, temperature=0, prompt_logprobs=top)
        rows = _choice(body).get("prompt_logprobs")
        if not isinstance(rows, list) or len(rows) != len(prompt) + len(answer):
            raise InvalidRequest("it gives no log-probabilities of given tokens", field="prompt_logprobs")
        return tuple(_entry(token, row) for token, row in zip(answer, rows[len(prompt) :], strict=True))

    async def _complete(self, prompt: tuple[int, ...] | str, **fields: object) -> Mapping[str, Any]:
        sent = list(prompt) if isinstance(prompt, tuple) else prompt
        url = f"{self._target.url}/v1/completions"
        assert self._session is not None, "use the client in `async with`"
        async with self._slots:
            try:
                question = {"model": self._target.served_name, "prompt": sent, **fields}
                async with self._session.post(url, json=question) as response:
                    body = await response.json(content_type=None)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                words = str(error) or type(error).__name__
                raise TargetUnreachable(f"{url} gave no usable answer: {words}", hint="Is the server up?") from error
        if response.status == 200 and isinstance(body, dict):
            return body
        message = f"{url} answered HTTP {response.status}: {_words(body)}"
        raise InvalidRequest(message) if 400 <= response.status < 500 else EngineError(message)


async def _all(work: Sequence[Any]) -> list[Any]:
    """Results in order; the first error ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    raise EngineError("the answer has no choices", hint="Is this an OpenAI-compatible server?")


def _entry(token: int, row: object) -> TokenLogprob:
    """One place of `prompt_logprobs`: token ids as names, each with its log-probability."""
    told = row if isinstance(row, dict) else {}
    known = {int(name): max(float(one["logprob"]), LEAST_LOGPROB) for name, one in told.items()}
    if token not in known:
        raise InvalidRequest(f"it gives no log-probability of token {token}", field="prompt_logprobs")
    ranked = sorted(known.items(), key=lambda pair: -pair[1])
    return TokenLogprob(token_id=token, logprob=known[token], top=tuple(ranked))


def _words(body: object) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else body
    return " ".join(str(message).split())[:200]
