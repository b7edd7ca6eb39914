"""The router: who gets a request. Virtual clock, no I/O."""

import asyncio
from dataclasses import dataclass

import pytest

from tokenforge.domain.deployment import Routing
from tokenforge.domain.errors import DeadlineExceeded, NotFound, NotReady, Overloaded
from tokenforge.domain.generation import Capabilities, RuntimeInfo
from tokenforge.gateway.affinity import Hint
from tokenforge.gateway.routing import EJECT_S, Endpoint, Router, RouteTable, Served, Want

INFO = RuntimeInfo(
    runtime="sim", engine="sim", engine_version="1", model="m", max_model_len=64, capabilities=Capabilities()
)


@dataclass(slots=True)
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def endpoint(name: str, *, runtime: str = "sim", capacity: int = 2) -> Endpoint:
    return Endpoint(
        id=name, deployment=f"d-{runtime}", model="m", runtime=runtime, url=f"http://{name}", capacity=capacity,
        info=INFO,
    )  # fmt: skip


def table(
    *endpoints: Endpoint, cause: str = "it loads", routing: Routing = Routing.PREFIX, most: int | None = None
) -> RouteTable:
    runtimes = sorted({e.runtime for e in endpoints}) or ["sim"]
    served = tuple(
        Served(
            id=f"d-{runtime}", model="m", runtime=runtime, created_s=1, cause=cause, routing=routing, most=most,
            is_held=most is not None,
            endpoints=tuple(e for e in endpoints if e.runtime == runtime),
        )
        for runtime in runtimes
    )  # fmt: skip
    return RouteTable({"m": served})


def router(*endpoints: Endpoint, clock: Clock | None = None, max_waiting: int = 4) -> Router:
    made = Router(clock=clock or Clock(), max_waiting=max_waiting)
    made.replace(table(*endpoints))
    return made


async def take(of: Router, runtime: str | None = None, *, without: tuple[str, ...] = (), until_s: float = 5.0) -> str:
    return (await of.take(Want(model="m", runtime=runtime), without=without, until_s=until_s)).id


async def test_requests_go_to_the_replica_with_the_fewest() -> None:
    of = router(endpoint("a"), endpoint("b"))
    taken = [await take(of) for _ in range(4)]
    assert sorted(taken) == ["a", "a", "b", "b"]
    assert taken[0] != taken[1]


async def test_a_larger_replica_gets_more() -> None:
    of = router(endpoint("small", capacity=2), endpoint("large", capacity=8))
    taken = [await take(of) for _ in range(5)]
    assert taken.count("large") == 4


async def test_both_runtimes_of_a_model_are_used_unless_one_is_named() -> None:
    of = router(endpoint("a", runtime="vllm@0.32.0", capacity=9), endpoint("b", runtime="sim"))
    assert {await take(of), await take(of)} == {"a", "b"}
    assert await take(of, "vllm") == await take(of, "vllm@0.32.0") == "a"


async def test_an_unknown_model_or_runtime_says_what_there_is() -> None:
    of = router(endpoint("a"))
    with pytest.raises(NotFound, match="m"):
        await of.take(Want(model="other"), without=(), until_s=1)
    with pytest.raises(NotFound, match="It runs on sim"):
        await take(of, "vllm")


async def test_a_deployment_that_is_not_ready_says_why() -> None:
    with pytest.raises(NotReady, match="it loads"):
        await take(router())


async def test_a_replica_that_failed_is_left_out_then_tried_with_one_request() -> None:
    clock = Clock()
    bad, good = endpoint("bad"), endpoint("good", capacity=9)
    of = router(bad, good, clock=clock)
    of.failed(bad)
    assert {await take(of) for _ in range(4)} == {"good"}
    clock.now_s = EJECT_S + 0.1
    assert [await take(of) for _ in range(3)].count("bad") == 1


async def test_each_failure_in_a_row_leaves_it_out_for_longer() -> None:
    clock = Clock()
    bad, good = endpoint("bad"), endpoint("good", capacity=99)
    of = router(bad, good, clock=clock)
    of.failed(bad)
    of.failed(bad)
    clock.now_s = EJECT_S + 0.1
    assert await take(of) == "good"


async def test_an_answer_makes_a_replica_well_again() -> None:
    bad = endpoint("bad")
    of = router(bad, endpoint("good"))
    of.failed(bad)
    of.answered(bad)
    assert {await take(of), await take(of)} == {"bad", "good"}


async def test_when_all_failed_one_of_them_is_tried_all_the_same() -> None:
    only = endpoint("only")
    of = router(only)
    of.failed(only)
    assert await take(of) == "only"


async def test_one_who_waits_gets_the_place_that_comes_free() -> None:
    only = endpoint("only", capacity=1)
    of = router(only)
    await take(of)
    waiting = asyncio.create_task(take(of))
    await asyncio.sleep(0)
    assert not waiting.done()
    of.release(only)
    assert await waiting == "only"


async def test_who_waited_first_is_first() -> None:
    only = endpoint("only", capacity=1)
    of = router(only)
    await take(of)
    order: list[int] = []

    async def one(number: int) -> None:
        await take(of)
        order.append(number)
        of.release(only)

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await asyncio.sleep(0)
    of.release(only)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]


async def test_a_full_queue_refuses_at_once() -> None:
    of = router(endpoint("only", capacity=1), max_waiting=1)
    await take(of)
    waiting = asyncio.create_task(take(of))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await take(of)
    waiting.cancel()


async def test_a_wait_ends_at_the_deadline() -> None:
    of = router(endpoint("only", capacity=1))
    await take(of)
    with pytest.raises(DeadlineExceeded):
        await take(of, until_s=0.0)


async def test_a_place_given_to_one_who_left_is_passed_on() -> None:
    only = endpoint("only", capacity=1)
    of = router(only)
    await take(of)
    first, second = asyncio.create_task(take(of)), asyncio.create_task(take(of))
    await asyncio.sleep(0)
    of.release(only)
    first.cancel()
    assert await second == "only"


async def test_a_new_table_serves_those_who_wait() -> None:
    of = router(endpoint("a", capacity=1))
    await take(of)
    waiting = asyncio.create_task(take(of))
    await asyncio.sleep(0)
    of.replace(table(endpoint("a", capacity=1), endpoint("b", capacity=1)))
    assert await waiting == "b"


async def test_counters_outlive_a_new_table() -> None:
    of = router(endpoint("a"), endpoint("b"))
    first = await take(of)
    of.replace(table(endpoint("a"), endpoint("b")))
    assert of.in_flight(first) == 1
    assert await take(of) != first


async def test_a_replica_that_is_left_out_by_the_caller_is_not_taken() -> None:
    of = router(endpoint("a"), endpoint("b"))
    assert [await take(of, without=("a",)) for _ in range(2)] == ["b", "b"]
    with pytest.raises(NotReady):
        await take(of, without=("a", "b"))


async def test_one_deployment_can_be_asked_for_alone_by_its_id() -> None:
    of = router(endpoint("a", runtime="sim", capacity=9), endpoint("b", runtime="vllm"))
    wants = [Want(model=None, deployment="d-sim"), Want(model="m", deployment="d-sim")]
    assert [(await of.take(want, without=(), until_s=1)).id for want in wants] == ["a", "a"]
    with pytest.raises(NotFound, match="d-none"):
        await of.take(Want(model="m", deployment="d-none"), without=(), until_s=1)


async def test_a_session_stays_when_a_replica_comes_and_moves_when_its_own_goes() -> None:
    of = router(*(endpoint(name, capacity=64) for name in "abcd"))
    homes = {session: await once(of, session) for session in map(str, range(40))}
    assert {await once(of, "7") for _ in range(20)} == {homes["7"]}
    of.replace(table(*(endpoint(name, capacity=64) for name in "abcde")))
    assert [session for session, before in homes.items() if await once(of, session) != before] == []
    of.replace(table(*(endpoint(name, capacity=64) for name in "bcde")))
    moved = {session for session, before in homes.items() if await once(of, session) != before}
    assert moved == {session for session, before in homes.items() if before == "a"}


async def test_a_session_whose_replica_is_full_or_failed_goes_elsewhere() -> None:
    of = router(endpoint("a", capacity=64), endpoint("b", capacity=64))
    home = await once(of, "s")
    of.failed(next(e for e in of.table.all()[0].endpoints if e.id == home))
    assert await once(of, "s") != home


async def test_least_load_pays_no_heed_to_sessions() -> None:
    of = Router(clock=Clock())
    of.replace(table(endpoint("a", capacity=64), endpoint("b", capacity=64), routing=Routing.LEAST_LOAD))
    assert len({await once(of, "s") for _ in range(2)}) == 2


async def once(of: Router, session: str) -> str:
    """Where a request of that session went; it has ended."""
    taken = await of.take(Want(model="m", hint=Hint(session, {})), without=(), until_s=5.0)
    of.release(taken)
    return taken.id


async def test_a_request_for_a_deployment_at_zero_is_held_until_a_replica_is_there() -> None:
    told: list[int] = []
    of = Router(clock=Clock(), tell_held=lambda: told.append(1))
    of.replace(table(most=2))
    waiting = asyncio.create_task(take(of))
    await asyncio.sleep(0)
    assert (of.asked()["d-sim"].waiting, bool(told)) == (1, True)
    of.replace(table(endpoint("a"), most=2))
    assert await waiting == "a"
    assert (of.asked()["d-sim"].in_flight, of.asked()["d-sim"].waiting) == (1, 0)


async def test_what_no_replica_came_up_for_in_time_is_503_with_the_cause() -> None:
    of = Router(clock=Clock(), hold_s=0.0)
    of.replace(table(most=2, cause="it is starting"))
    with pytest.raises(NotReady, match="came up within 0 s: it is starting"):
        await take(of)


async def test_what_found_no_free_place_for_so_long_is_429() -> None:
    of = Router(clock=Clock(), hold_s=0.0)
    of.replace(table(endpoint("a", capacity=1)))
    await take(of)
    with pytest.raises(Overloaded, match="free place for 0 s"):
        await take(of)


async def test_so_many_are_held_and_no_more() -> None:
    of = Router(clock=Clock(), max_waiting=2)
    of.replace(table(most=1))
    held = [asyncio.create_task(take(of)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="2 requests wait"):
        await take(of)
    for task in held:
        task.cancel()


async def test_a_full_queue_says_when_to_come_again_by_its_own_pace() -> None:
    clock = Clock()
    only = endpoint("only", capacity=1)
    of = router(only, clock=clock, max_waiting=6)
    await take(of)
    waiting = [asyncio.create_task(take(of)) for _ in range(6)]
    for _ in range(2):
        await asyncio.sleep(0)
        clock.now_s += 2.0
        of.release(only)
    await asyncio.sleep(0)
    waiting += [asyncio.create_task(take(of)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await take(of)
    assert caught.value.retry_after_s == 12.0
    for task in waiting:
        task.cancel()


async def test_a_replica_that_just_failed_one_request_is_not_waited_for() -> None:
    of = Router(clock=Clock())
    of.replace(table(endpoint("a"), most=2))
    with pytest.raises(NotReady):
        await take(of, without=("a",))


async def test_one_who_waits_for_a_deployment_that_is_deleted_hears_so() -> None:
    of = Router(clock=Clock())
    of.replace(table(most=2))
    waiting = asyncio.create_task(take(of))
    await asyncio.sleep(0)
    of.replace(RouteTable())
    assert of.asked() == {}
    with pytest.raises(NotFound):
        await waiting
