"""When sides of a comparison are stopped and started, and that they are asked alike."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tokenforge.bench.comparing import Means, ask_parity
from tokenforge.bench.observe import Silence
from tokenforge.bench.order import trial_order
from tokenforge.bench.parity import ParityAsk
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.sides import Opening, Sides, changes_before, choose_restart, made_alike
from tokenforge.bench.targets import Target
from tokenforge.domain.benchmark import Order
from tokenforge.domain.comparison import Restart
from tokenforge.domain.errors import WorkerFailed
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.domain.parity import ParityVerdict
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.runtime import Accelerator
from tokenforge.domain.workload import Workload

GIB = 1 << 30
A_SERVER = Target(
    model="m", served_name="m", runtime="sim@1", url="", window=2048, tokenizer=None, form=PromptForm.TEXT,
    exact_output=True, continuous_usage=True, engine=None, headers={}, packages={},
)  # fmt: skip


@dataclass
class Engines:
    """A twin of two engines: what was opened and stopped, and which were up at once. `stuck`: no start ends."""

    events: list[str] = field(default_factory=list)
    up: set[str] = field(default_factory=set)
    most: int = 0
    stuck: bool = False

    def opening(self, name: str, *, is_ours: bool = True) -> Opening:
        async def open_one() -> Target:
            if self.stuck:
                await asyncio.Future[None]()
            self.events.append(f"+{name}")
            self.up.add(name)
            self.most = max(self.most, len(self.up))
            return replace(A_SERVER, url=f"http://{name}/{len(self.events)}", worker=Stoppable(self, name))

        return Opening(open=open_one, is_ours=is_ours)


@dataclass
class Stoppable:
    """A worker that notes its end."""

    engines: Engines
    name: str
    url: str = ""

    async def stop(self, *, grace_s: float) -> None:
        assert grace_s > 0
        self.engines.events.append(f"-{self.name}")
        self.engines.up.discard(self.name)

    async def ready(self, *, timeout_s: float, on_phase: Callable[[str], None] | None = None) -> RuntimeInfo:
        raise AssertionError(timeout_s, on_phase)

    async def exited(self) -> WorkerFailed:
        raise AssertionError(self.name)

    def last_words(self, lines: int = 20) -> tuple[str, ...]:
        return ()[:lines]


async def run_through(restart: Restart, *, quads: int, engines: Engines, a_is_ours: bool = True) -> list[RunLog]:
    """All trials of a comparison, in their order, without load."""
    openings = [engines.opening("A", is_ours=a_is_ours), engines.opening("B")]
    sides = Sides(openings, restart=restart, observer=Silence())
    steps = trial_order(runtimes=2, workloads=1, trials=2 * quads, order=Order.INTERLEAVED, seed=4)
    row = [RunLog(target=one, workload=Workload(name="w")) for one in await sides.begin(first=steps[0].runtime)]
    for position, step in enumerate(steps):
        idle = await sides.before(row, step, position=position)
        assert "AB"[step.runtime] in engines.up
        assert len(idle) == len(engines.up) - 1
    return row


async def test_before_every_quad_both_are_started_anew() -> None:
    engines = Engines()
    row = await run_through(Restart.QUAD, quads=3, engines=engines)
    assert [engines.events.count(one) for one in ("+A", "-A", "+B", "-B")] == [3, 2, 3, 2]
    assert [log.starts for log in row] == [2, 2]
    assert row[0].target.runtime == "sim@1 (A)"


async def test_every_means_that_one_is_up_at_a_time_and_each_trial_has_a_fresh_one() -> None:
    engines = Engines()
    row = await run_through(Restart.EVERY, quads=2, engines=engines)
    assert engines.most == 1
    assert sorted(log.starts for log in row) == [3, 4]
    assert engines.events.count("+A") + engines.events.count("+B") == 9


async def test_never_means_that_both_stay_up() -> None:
    engines = Engines()
    await run_through(Restart.NEVER, quads=3, engines=engines)
    assert sorted(engines.events) == ["+A", "+B"]


@pytest.mark.parametrize("restart", Restart)
async def test_a_server_that_is_not_ours_is_never_stopped(restart: Restart) -> None:
    engines = Engines()
    await run_through(restart, quads=2, engines=engines, a_is_ours=False)
    assert engines.events.count("+A") == 1
    assert "-A" not in engines.events


def test_a_side_that_has_not_served_yet_is_not_restarted() -> None:
    both = frozenset({0, 1})
    assert not changes_before(Restart.QUAD, position=0, side=0, up=both, used=frozenset()).stop
    assert changes_before(Restart.QUAD, position=4, side=0, up=both, used=both).stop == both
    assert not changes_before(Restart.QUAD, position=5, side=0, up=both, used=frozenset({1})).stop
    fresh = changes_before(Restart.EVERY, position=0, side=1, up=frozenset({1}), used=frozenset())
    assert (fresh.stop, fresh.start) == (frozenset(), frozenset())


@pytest.mark.parametrize(
    ("accelerator", "weights", "available", "expected"),
    [
        (Accelerator.CPU, 1 * GIB, 20 * GIB, Restart.QUAD),
        (Accelerator.CPU, 8 * GIB, 20 * GIB, Restart.EVERY),
        (Accelerator.CUDA, 1 * GIB, 900 * GIB, Restart.EVERY),
    ],
)
def test_two_engines_are_up_at_once_only_where_they_fit(
    accelerator: Accelerator, weights: int, available: int, expected: Restart
) -> None:
    found = choose_restart(accelerator=accelerator, weights_bytes=weights, available_bytes=available)
    assert found is expected


def test_both_are_asked_in_the_form_and_window_that_both_take() -> None:
    ids = replace(A_SERVER, runtime="vllm@1", window=1024, form=PromptForm.TOKEN_IDS)
    alike = made_alike([ids, replace(A_SERVER, window=None)])
    assert [(one.form, one.window) for one in alike] == [(PromptForm.TEXT, 1024)] * 2
    assert [one.runtime for one in alike] == ["vllm@1", "sim@1"]


def test_two_of_one_name_are_told_apart() -> None:
    assert [one.runtime for one in made_alike([A_SERVER, A_SERVER])] == ["sim@1 (A)", "sim@1 (B)"]


@pytest.mark.parametrize(("restart", "most"), [(Restart.EVERY, 1), (Restart.NEVER, 2)])
async def test_after_the_trials_each_side_can_be_asked_alone(restart: Restart, most: int) -> None:
    engines = Engines()
    sides = Sides([engines.opening("A"), engines.opening("B")], restart=restart, observer=Silence())
    await sides.begin(first=1)
    for side, name in enumerate("AB"):
        target = await sides.alone(side)
        assert target.runtime == f"sim@1 ({name})"
        assert name in engines.up
    assert engines.most == most


async def test_an_interruption_after_the_trials_leaves_parity_unmeasured_and_no_more() -> None:
    engines = Engines()
    sides = Sides([engines.opening("A"), engines.opening("B")], restart=Restart.EVERY, observer=Silence())
    targets = await sides.begin(first=1)
    engines.stuck = True
    asking = asyncio.create_task(ask_parity(sides, targets, Means(parity=ParityAsk()), observer=Silence()))
    await asyncio.sleep(0)
    asking.cancel()
    found = await asking
    assert found is not None
    assert found.verdict is ParityVerdict.NOT_MEASURED
    assert found.sentence.endswith("was not measured: it was interrupted.")
