"""The twin of an engine behind OpenAI's completions, with the parts that parity asks for; each can be left out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from twin_llama import VOCAB, Twin

from tokenforge.bench.targets import Target
from tokenforge.domain.plan import PromptForm

_FIRST_LETTER = 0x4E00


class LetterTokenizer:
    """A letter for each token."""

    plain_ids = tuple(range(VOCAB))

    def encode(self, text: str) -> list[int]:
        """The ids of letters."""
        return [ord(letter) - _FIRST_LETTER for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        """The letters of ids."""
        return "".join(chr(_FIRST_LETTER + one) for one in ids)


@dataclass(slots=True, kw_only=True)
class TwinServer:
    """`fails_with` is the status of every answer, if set; `most` is how many requests were inside at once."""

    twin: Twin
    gives_ids: bool = True
    gives_scores: bool = True
    fails_with: int | None = None
    inside: int = 0
    most: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """POST /v1/completions."""
        body = await request.json()
        self.asked.append(body)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if self.fails_with is not None:
                return web.json_response({"error": {"message": "as told"}}, status=self.fails_with)
            if "prompt_logprobs" in body and not self.gives_scores:
                return web.json_response({"error": {"message": "unknown field"}}, status=400)
            await asyncio.sleep(0.001)  # the others that were sent at once come in
            return web.json_response(self._answer(body))
        finally:
            self.inside -= 1

    def _answer(self, body: dict[str, Any]) -> dict[str, object]:
        prompt = body["prompt"] if isinstance(body["prompt"], list) else LetterTokenizer().encode(body["prompt"])
        ids = tuple(prompt)
        (answer,) = self.twin.answers([ids], tokens=body["max_tokens"])
        choice: dict[str, object] = {
            "text": LetterTokenizer().decode(answer.ids or ()),
            "finish_reason": answer.finish,
        }
        if self.gives_ids and body.get("return_token_ids"):
            choice["token_ids"] = answer.ids
        if "prompt_logprobs" in body:
            rows = self.twin.score_all(ids)
            named = [{str(token): {"logprob": logprob} for token, logprob in row.top} for row in rows]
            own = [{str(row.token_id): {"logprob": row.logprob}} for row in rows]
            choice["prompt_logprobs"] = [None, *(one | mine for one, mine in zip(named, own, strict=True))]
        return {"choices": [choice], "usage": {"completion_tokens": answer.output_tokens}}

    @asynccontextmanager
    async def target(self, *, runtime: str = "twin") -> AsyncIterator[Target]:
        """Serve on a free port."""
        app = web.Application()
        app.router.add_post("/v1/completions", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield self.as_target(f"http://127.0.0.1:{port}", runtime=runtime)
        finally:
            await runner.cleanup()

    def as_target(self, url: str, *, runtime: str) -> Target:
        """What a benchmark would know of it."""
        return Target(
            model="twin",
            served_name="twin",
            runtime=runtime,
            url=url,
            window=256,
            tokenizer=LetterTokenizer(),
            form=PromptForm.TOKEN_IDS if self.gives_ids else PromptForm.TEXT,
            exact_output=True,
            continuous_usage=True,
            engine={"details": {"dtype": self.twin.number_format}},
            headers={},
            packages={},
        )
