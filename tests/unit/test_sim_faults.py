"""The faults a simulated engine can be told to have, and the settings that tell them."""

import asyncio
import itertools

import pytest
from sim_rig import ids_of, request, started

from tokenforge.domain.errors import EngineDead, EngineError, InvalidInput
from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.sim import PLUG
from tokenforge.runtimes.sim_settings import SimSettings, read_sim_settings


async def test_it_dies_after_its_requests_and_ends_every_stream() -> None:
    rig = await started(die_after_requests=2)
    reads = [asyncio.ensure_future(rig.read(request(n, max_tokens=500))) for n in (1, 2)]
    ends = await rig.time.run(asyncio.gather(*reads, return_exceptions=True))
    assert [type(end) for end in ends] == [EngineDead, EngineDead]
    with pytest.raises(EngineDead, match="as told, after 2 requests"):
        await rig.runtime.health()


async def test_it_dies_after_its_time_though_nobody_asks_anything() -> None:
    rig = await started(die_after_s=120.0)
    await rig.time.run(rig.time.sleep(119.0))
    await rig.runtime.health()
    await rig.time.run(rig.time.sleep(2.0))
    with pytest.raises(EngineDead, match="after 120 s"):
        await rig.runtime.health()


async def test_it_dies_in_the_midst_of_a_stream() -> None:
    rig = await started(die_after_s=1.0)
    with pytest.raises(EngineDead):
        await rig.ask(request(max_tokens=2_000))
    assert rig.time.now_s == pytest.approx(1.0, abs=0.01)


async def test_a_dead_engine_takes_nothing_and_closes() -> None:
    rig = await started(die_after_s=0.1)
    await rig.time.run(rig.time.sleep(1.0))
    with pytest.raises(EngineDead):
        await rig.ask(request())
    await asyncio.wait_for(rig.runtime.close(5.0), 1.0)


async def test_the_share_of_requests_told_fails_and_the_engine_lives() -> None:
    rig = await started(error_rate=0.3)
    ends = []
    for n in range(1, 201):
        try:
            ends.append(len(await rig.ask(request(n, max_tokens=2))))
        except EngineError:
            ends.append(0)
    assert 0.2 < ends.count(0) / 200 < 0.4
    await rig.runtime.health()


async def test_the_same_prompts_fail_in_each_run() -> None:
    async def failing() -> list[int]:
        rig, found = await started(error_rate=0.5), []
        for n in range(1, 41):
            try:
                await rig.ask(request(n, max_tokens=1))
            except EngineError:
                found.append(n)
        return found

    assert await failing() == await failing()


async def test_a_truncated_stream_stops_half_way_and_does_not_say_why() -> None:
    chunks = await (await started(truncate_rate=1.0)).ask(request(max_tokens=20))
    assert len(ids_of(chunks)) == 10
    assert chunks[-1].finish is None


async def test_each_nth_step_stalls() -> None:
    rig = await started(stall_every=5, stall_ms=1_000.0, step_ms=1.0)
    chunks = await rig.ask(request(max_tokens=20))
    gaps = [(b.made_ns - a.made_ns) / 1e9 > 1 for a, b in itertools.pairwise(chunks)]
    assert gaps.count(True) == 4


async def test_usage_can_be_wrong_and_is_never_below_zero() -> None:
    low = await (await started(usage_off_by=-3)).ask(request(max_tokens=5))
    high = await (await started(usage_off_by=3)).ask(request(max_tokens=5))
    assert [chunk.usage.completion_tokens for chunk in low] == [0, 0, 0, 1, 2]
    assert high[-1].usage.completion_tokens == 8


def test_settings_are_read_as_written() -> None:
    assert read_sim_settings({"seed": 3, "step_ms": 2}) == SimSettings(seed=3, step_ms=2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"step_mss": 1}, "did you mean step_ms?"),
        ({"zzz": 1}, "there are: seed, start_ms"),
        ({"step_ms": "fast"}, "must be a number"),
        ({"step_ms": True}, "must be a number"),
        ({"step_ms": float("inf")}, "must be a number"),
        ({"step_ms": -1}, "must not be negative"),
        ({"kv_tokens": 0}, "must be more than 0"),
        ({"prefill_tokens_per_s": 0}, "must be more than 0"),
        ({"max_num_seqs": 1.5}, "must be a whole number"),
        ({"error_rate": 1.5}, "must be from 0 to 1"),
        ({"error_rate": 0.7, "truncate_rate": 0.7}, "exceed 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(args: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_sim_settings(args)
    assert message in str(raised.value)


def test_all_faults_are_told_together() -> None:
    with pytest.raises(InvalidInput) as raised:
        read_sim_settings({"stepms": 1, "kv_tokens": -1})
    assert len(raised.value.faults) == 2


def test_the_simulator_has_no_version_but_ours() -> None:
    with pytest.raises(InvalidInput, match="write `sim`"):
        PLUG.recipe("9.9", Accelerator.CPU)
