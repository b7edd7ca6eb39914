"""The requests a runtime has open."""

import asyncio

import pytest

from tokenforge.domain.errors import EngineDead, InvalidRequest
from tokenforge.runtimes.open_streams import OpenStreams


async def test_an_id_is_open_while_it_is_held() -> None:
    streams = OpenStreams()
    with streams.hold("a"):
        assert "a" in streams
        assert streams.ids() == ("a",)
    assert len(streams) == 0


async def test_an_id_in_use_is_refused_and_stays_with_its_holder() -> None:
    streams = OpenStreams()
    with streams.hold("a"):
        with pytest.raises(InvalidRequest, match="a is in use"), streams.hold("a"):
            pass
        assert "a" in streams


async def test_nothing_is_taken_once_closed() -> None:
    streams = OpenStreams()
    streams.refuse_more()
    with pytest.raises(EngineDead), streams.hold("a"):
        pass


async def test_the_end_is_awaited_until_the_last_one_left() -> None:
    streams = OpenStreams()
    with streams.hold("a"):
        waiter = asyncio.create_task(streams.ended(timeout_s=5.0))
        await asyncio.sleep(0)
        assert not waiter.done()
    assert await waiter


async def test_waiting_for_the_end_is_bounded() -> None:
    streams = OpenStreams()
    with streams.hold("a"):
        assert not await streams.ended(timeout_s=0.0)
