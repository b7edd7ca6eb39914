"""Asking workers whether they answer: virtual time, workers that answer as told."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from fleet_twin import FleetTwin

from tokenforge.cluster.base import Sighting
from tokenforge.cluster.probe import answers
from tokenforge.control.probes import EVERY_S, LIMIT_S, Probes


@dataclass(slots=True)
class Place:
    """Ready workers a and b, and who of them does not answer."""

    now_s: float = 100.0
    fleet: FleetTwin = field(default_factory=FleetTwin)
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in "ab":
            self.fleet.add(name, {})
        self.fleet.progress()
        self.fleet.progress()

    def probes(self) -> Probes:
        return Probes(ask=self.ask, clock=lambda: self.now_s)

    async def ask(self, url: str) -> bool:
        """At once when it answers; after the limit when it does not."""
        self.asked.append(url)
        if url.removeprefix("http://") not in self.silent:
            return True
        self.now_s += LIMIT_S
        return False

    async def run(self, probes: Probes, turns: int) -> dict[str, float]:
        """So many turns, each long enough for the next question; who is silent in the end."""
        for _ in range(turns):
            probes.look(self.sightings())
            await asyncio.sleep(0)
            self.now_s += EVERY_S
        return dict(probes.look(self.sightings()))

    def sightings(self) -> list[Sighting]:
        return list(self.fleet.workers.values())


async def test_workers_that_answer_are_not_silent_and_not_asked_too_often() -> None:
    place = Place()
    probes = place.probes()
    for _ in range(10):
        assert probes.look(place.sightings()) == {}
        await asyncio.sleep(0)
    assert sorted(place.asked) == ["http://a", "http://b"]


async def test_silence_grows_with_each_question_that_stays_unanswered() -> None:
    place = Place(silent={"a"})
    probes = place.probes()
    once, later = await place.run(probes, 1), await place.run(probes, 3)
    assert set(once) == set(later) == {"a"}
    assert 0 < once["a"] <= LIMIT_S + EVERY_S < later["a"]


async def test_an_answer_ends_it() -> None:
    place = Place(silent={"a"})
    probes = place.probes()
    await place.run(probes, 3)
    place.silent.clear()
    assert await place.run(probes, 2) == {}


async def test_a_control_that_was_frozen_does_not_blame_its_workers() -> None:
    place = Place(silent={"a"})
    probes = place.probes()
    await place.run(probes, 1)
    place.now_s += 10_000
    assert probes.look(place.sightings())["a"] <= LIMIT_S + EVERY_S


async def test_who_is_loading_or_asked_to_end_or_gone_is_not_asked() -> None:
    place = Place(silent={"a"})
    probes = place.probes()
    await place.run(probes, 2)
    worker = place.fleet.workers["a"]
    place.fleet.workers["a"] = replace(worker, stopping_since_s=1.0)
    del place.fleet.workers["b"]
    place.fleet.add("c", {})
    place.asked.clear()
    assert await place.run(probes, 2) == {}
    assert place.asked == []


@pytest.mark.parametrize(("reply", "is_answer"), [(b"HTTP/1.1 503 Not ready\r\n\r\n", True), (b"", False)])
async def test_any_http_answer_is_one_and_none_is_none(reply: bytes, is_answer: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await answers(f"http://127.0.0.1:{port}", limit_s=5.0) is is_answer
    server.close()
    await server.wait_closed()
    assert not await answers(f"http://127.0.0.1:{port}", limit_s=5.0)


async def test_one_that_takes_connections_and_says_nothing_does_not_answer() -> None:
    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert not await answers(f"http://127.0.0.1:{port}", limit_s=0.05)
    server.close()
    await server.wait_closed()
