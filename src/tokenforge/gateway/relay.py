"""Bring one request to a replica that answers: choose, ask, and ask another while no byte has gone out.

Worth another try: a replica that cannot be reached, that is draining or dead (503), full (429), or whose engine failed
this one request (500). Whatever else a worker says is the client's answer.
"""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tokenforge.domain.errors import NotFound, NotReady
from tokenforge.gateway.plane import DataPlane, Passage, Refusal
from tokenforge.gateway.routing import Endpoint, Want
from tokenforge.gateway.upstream_answer import UpstreamAnswer, UpstreamFailed
from tokenforge.telemetry.tracing.span import SpanKind

MAX_TRIES = 4
ELSEWHERE = frozenset({429, 500, 503})


class Ask(NamedTuple):
    """What is asked of a replica: the path and body for the worker, and who may take it."""

    want: Want
    path: str
    body: bytes


Take = Callable[[Endpoint, UpstreamAnswer], Awaitable[None]]


async def relay(plane: DataPlane, passage: Passage, ask: Ask, take: Take) -> Refusal | None:
    """Give a good answer to `take`; returns the last refusal when there was none.

    `take` may raise UpstreamFailed: while it has sent nothing, another replica is tried. Raises what Router.take does.
    """
    tried = set(passage.tried)
    refusal, failure = passage.refusal, passage.failure
    while len(tried) < MAX_TRIES:
        try:
            endpoint = await _take(plane, passage, ask, tried)
        except NotReady:
            if refusal is not None:
                return refusal
            if failure is not None:
                raise NotReady(
                    f"no replica of {ask.want.model!r} answered: {failure.message}", retry_after_s=2.0
                ) from None
            raise
        tried.add(endpoint.id)
        passage.tries += 1
        passage.replica = endpoint.id
        passage.asked_s = plane.clock()
        if passage.trace is not None and passage.tries == 1:
            began_ns, asked_ns = round(passage.arrived_s * 1e9), round(passage.asked_s * 1e9)
            passage.trace.add("route", began_ns, asked_ns, parent_id=passage.trace.root.span_id)
        try:
            refusal = await _try(plane, passage, ask, endpoint, take)
            if refusal is None:
                return None
        except UpstreamFailed as error:
            plane.router.failed(endpoint)
            if passage.exchange.is_begun:
                raise
            failure = error
        finally:
            plane.router.release(endpoint)
        plane.metrics.retried(ask.path)
    if refusal is not None:
        return refusal
    raise NotReady(f"{len(tried)} replicas of {ask.want.model!r} failed one after another", retry_after_s=2.0)


async def _take(plane: DataPlane, passage: Passage, ask: Ask, tried: set[str]) -> Endpoint:
    """A replica; when there is none, the table is read anew first: one may have come up in this very moment."""
    try:
        return await plane.router.take(ask.want, without=tried, until_s=passage.exchange.until_s)
    except (NotFound, NotReady):
        await plane.refresh()
        return await plane.router.take(ask.want, without=tried, until_s=passage.exchange.until_s)


async def _try(plane: DataPlane, passage: Passage, ask: Ask, endpoint: Endpoint, take: Take) -> Refusal | None:
    """Ask one replica, as one span; its refusal when another may do better. Raises UpstreamFailed."""
    trace = passage.trace
    if trace is None:
        return await _asked(plane, ask, endpoint, take, headers=passage.forwarded())
    span_id, began_ns = trace.new_id(), time.monotonic_ns()
    try:
        return await _asked(plane, ask, endpoint, take, headers=passage.forwarded(span_id))
    finally:
        attributes = {"server.address": endpoint.url.partition("://")[2], "tokenforge.replica": endpoint.id}
        trace.add(
            "relay", began_ns, time.monotonic_ns(), parent_id=trace.root.span_id, span_id=span_id,
            kind=SpanKind.CLIENT, attributes=attributes,
        )  # fmt: skip


async def _asked(plane: DataPlane, ask: Ask, endpoint: Endpoint, take: Take, *, headers: bytes) -> Refusal | None:
    answer = await plane.upstream.ask(endpoint.url, ask.path, body=ask.body, headers=headers)
    try:
        if answer.status not in ELSEWHERE:
            plane.router.answered(endpoint)
            await take(endpoint, answer)
            return None
        if answer.status == 503:
            plane.router.failed(endpoint)
        return refusal_of(answer, await answer.whole())
    finally:
        answer.close()


def refusal_of(answer: UpstreamAnswer, body: bytes) -> Refusal:
    """What a worker said, with the whole body of its answer."""
    kind = answer.header(b"content-type") or "application/json"
    return Refusal(answer.status, body, kind, answer.header(b"retry-after"))
