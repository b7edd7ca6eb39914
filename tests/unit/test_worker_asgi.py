"""The little of HTTP that the worker reads itself."""

from collections.abc import Awaitable, Callable

import pytest

from tokenforge.domain.errors import TooLarge
from tokenforge.protocol.asgi import ClientGone, Message, Scope, read_body, request_id, send_whole, until_gone


def receive_of(*messages: Message) -> Callable[[], Awaitable[Message]]:
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    return receive


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def scope_of(**headers: str) -> Scope:
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}


GONE: Message = {"type": "http.disconnect"}


async def test_a_body_in_parts_is_joined() -> None:
    receive = receive_of(part(b"ab", more=True), part(b"c", more=False))
    assert await read_body(scope_of(), receive) == b"abc"


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    with pytest.raises(TooLarge, match="10"):
        await read_body(scope_of(content_length="10"), receive_of(), limit_bytes=9)


async def test_a_body_that_turns_out_too_large_is_refused() -> None:
    receive = receive_of(part(b"a" * 6, more=True), part(b"a" * 6, more=True))
    with pytest.raises(TooLarge):
        await read_body(scope_of(), receive, limit_bytes=9)


async def test_a_body_as_large_as_allowed_passes() -> None:
    assert len(await read_body(scope_of(), receive_of(part(b"a" * 9, more=False)), limit_bytes=9)) == 9


async def test_a_client_that_leaves_half_way_is_told_apart() -> None:
    with pytest.raises(ClientGone):
        await read_body(scope_of(), receive_of(part(b"a", more=True), GONE))


async def test_until_gone_ignores_what_else_comes() -> None:
    await until_gone(receive_of(part(b"", more=False), GONE))


@pytest.mark.parametrize("said", ["abc", "A-1_2.3:4", "x" * 128])
def test_a_fit_request_id_is_kept(said: str) -> None:
    assert request_id(scope_of(x_request_id=said), otherwise="new") == said


@pytest.mark.parametrize("said", ["", "a b", "a\x01", "é", "x" * 129])
def test_an_unfit_request_id_is_replaced(said: str) -> None:
    assert request_id(scope_of(x_request_id=said), otherwise="new") == "new"


async def test_an_answer_says_its_length() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await send_whole(send, b"abc", status=418, headers={"x-a": "b"})
    assert sent[0]["status"] == 418
    assert (b"content-length", b"3") in sent[0]["headers"]
    assert (b"x-a", b"b") in sent[0]["headers"]
    assert sent[1]["body"] == b"abc"
