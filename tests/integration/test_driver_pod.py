"""A driver pod by itself, with a shelf in a folder: what it will not do, whoever tells it what."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from driver_jobs import drive_job, open_plan
from driver_truth import TruthServer, truth_server

from tokenforge.bench.cluster import pod as pods
from tokenforge.bench.cluster.messages import ROUNDS, Done, Ready, Start, hear, say
from tokenforge.bench.cluster.pod import DriverPod, LeftAlone, Seat, TakenBefore, TooLate
from tokenforge.bench.cluster.shares import share_bytes
from tokenforge.bench.driver.job import DriveJob
from tokenforge.domain.errors import NotFound
from tokenforge.store.shelf import FolderShelf


@dataclass(slots=True)
class Pod:
    """One pod with a share of a small plan."""

    shelf: FolderShelf
    job: DriveJob
    server: TruthServer
    running: "asyncio.Task[int] | None" = None

    async def begin(self, *, life: str = "a", wait_s: float = 20.0) -> DriverPod:
        await self.shelf.put("share-0", share_bytes(self.job, 0))
        seat = Seat(index=0, life=life, pod="p-0", node="n", version="1", wait_s=wait_s)
        made = DriverPod(self.shelf, seat, asyncio.Event())
        self.running = asyncio.create_task(made.run())
        return made

    async def agree(self, *, life: str, in_ns: int) -> None:
        """Everything up to the word to start."""
        for number in range(ROUNDS):
            await self.shelf.put(f"tick-{number}", b"tick")
        await say(self.shelf, "start-0", Start(life=life, origin_ns=time.monotonic_ns() + in_ns))

    async def ended(self) -> int:
        assert self.running is not None
        return await asyncio.wait_for(self.running, 30)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    with truth_server(tmp_path, "--ttft-us", "1000", "--itl-us", "1000") as server:
        yield Pod(FolderShelf(tmp_path / "shelf"), drive_job(server.url, open_plan(20, rate=50), tmp_path), server)


async def test_it_offers_its_share_and_brings_its_journal(pod: Pod) -> None:
    await pod.begin()
    await pod.agree(life="a", in_ns=2_000_000_000)
    assert await pod.ended() == 0
    done, ready = await hear(pod.shelf, "done-0", Done), await hear(pod.shelf, "ready-0", Ready)
    assert done is not None
    assert ready is not None
    assert (done.life, done.code, ready.pod, ready.node) == ("a", 0, "p-0", "n")
    assert len(pod.server.stop()) == 20


async def test_a_share_that_another_pod_began_is_never_offered_again(pod: Pod) -> None:
    await pod.begin(life="b")
    await pod.agree(life="a", in_ns=2_000_000_000)
    with pytest.raises(TakenBefore):
        await pod.ended()
    assert pod.server.stop() == []


async def test_a_start_that_is_over_is_not_made_up_for(pod: Pod) -> None:
    await pod.begin()
    await pod.agree(life="a", in_ns=-5_000_000)
    with pytest.raises(TooLate, match="ms late"):
        await pod.ended()
    assert pod.server.stop() == []


async def test_no_load_goes_on_that_nobody_waits_for(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "SILENCE_S", 1.5)
    pod.job = drive_job(pod.server.url, open_plan(2_000, rate=50), pod.job.folder)
    await pod.begin()
    await pod.agree(life="a", in_ns=1_000_000_000)
    with pytest.raises(LeftAlone):
        await pod.ended()
    assert len(pod.server.stop()) < 1_000


async def test_it_does_not_wait_for_ever(pod: Pod) -> None:
    await pod.begin(wait_s=0.2)
    with pytest.raises(LeftAlone):
        await pod.ended()


async def test_asked_to_end_it_brings_what_it_has(pod: Pod) -> None:
    pod.job = drive_job(pod.server.url, open_plan(2_000, rate=50), pod.job.folder)
    made = await pod.begin()
    await pod.agree(life="a", in_ns=1_000_000_000)
    while await pod.shelf.get("beat-0") is None:  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0.05)
    made.stop.set()
    assert await pod.ended() == 0
    assert await hear(pod.shelf, "done-0", Done) is not None


async def test_without_a_share_it_offers_nothing(tmp_path: Path) -> None:
    seat = Seat(index=4, life="a", pod="p-4", node="n", version="1")
    with pytest.raises(NotFound, match="share-4"):
        await DriverPod(FolderShelf(tmp_path), seat, asyncio.Event()).run()
