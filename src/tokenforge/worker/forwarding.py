"""A request that goes on to the server behind a runtime as it came, and that server's answer as it comes.

What our own words cover is asked in our own words, so that it is counted and measured like any other engine. What they
do not cover (tools, embeddings, a model whose tokenizer is not here) is the server's to judge, its refusals too.
"""

from collections.abc import Awaitable, Callable, Mapping

from tokenforge.protocol.asgi import Send, send_whole
from tokenforge.protocol.openai_request import Operation
from tokenforge.runtimes.base import ForwardedAnswer, Forwarder

Begin = Callable[[ForwardedAnswer], Awaitable[None]]
"""Sends the head of a stream."""

PATHS: Mapping[Operation, str] = {
    Operation.COMPLETIONS: "v1/completions",
    Operation.CHAT: "v1/chat/completions",
    Operation.EMBEDDINGS: "v1/embeddings",
    Operation.RESPONSES: "v1/responses",
}


async def forward(
    forwarder: Forwarder, path: str, body: Mapping[str, object], *, send: Send, begin: Begin, headers: Mapping[str, str]
) -> None:
    """Answer with what the server answers: a stream as it comes, after `begin`; anything else as a whole."""
    async with forwarder.forward(path, body) as answer:
        if not answer.content_type.startswith("text/event-stream"):
            whole = b"".join([chunk async for chunk in answer.chunks])
            more = {"retry-after": answer.retry_after} if answer.retry_after else {}
            await send_whole(
                send, whole, status=answer.status, content_type=answer.content_type, headers={**headers, **more}
            )
            return
        await begin(answer)
        async for chunk in answer.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
