"""A gateway lives until it is asked to end, or until its table is not kept fresh any more."""

import asyncio

from tokenforge.gateway.server import until_asked


async def fresh_for_ever() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise RuntimeError("unforeseen")


async def test_it_lives_until_it_is_asked() -> None:
    stop, feeding = asyncio.Event(), asyncio.create_task(fresh_for_ever())
    waiting = asyncio.create_task(until_asked(stop, feeding))
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.set()
    await waiting
    assert not feeding.done()
    feeding.cancel()


async def test_it_ends_when_its_table_goes_stale() -> None:
    feeding = asyncio.create_task(broken())
    await until_asked(asyncio.Event(), feeding)
    assert isinstance(feeding.exception(), RuntimeError)
