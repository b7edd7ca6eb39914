"""The two sides of a comparison as running servers: started, restarted when their rule says so, made to ask alike.

Both must get the same prompts, so both are asked in the form that both take, in lengths that fit both windows. A side
that is a server known by its address is never stopped.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tokenforge.bench.observe import Observer
from tokenforge.bench.order import Step
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.targets import Target
from tokenforge.domain.comparison import QUAD_BLOCKS, SIDES, Restart
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.runtime import Accelerator

_STOP_GRACE_S = 10.0
_ROOM_PER_ENGINE_BYTES = 3 << 30
_WEIGHTS_FACTOR = 1.5

Open = Callable[[], Awaitable[Target]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a side comes up. `is_ours`: it is started here, so it can be stopped and started again."""

    open: Open
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Which sides (0 is A) to stop, then to start, before a trial."""

    stop: frozenset[int]
    start: frozenset[int]


def changes_before(restart: Restart, *, position: int, side: int, up: frozenset[int], used: frozenset[int]) -> Changes:
    """What the rule asks for before the trial at `position`. `used` sides have served a trial since they started."""
    if restart is Restart.EVERY:
        stop = up - {side} | (up & used)
        return Changes(stop=stop, start=frozenset({side}) - (up - stop))
    both = frozenset(range(len(SIDES)))
    is_new_quad = position % (len(SIDES) * QUAD_BLOCKS) == 0
    stop = up if restart is Restart.QUAD and is_new_quad and used else frozenset()
    return Changes(stop=stop, start=both - (up - stop))


def choose_restart(*, accelerator: Accelerator, weights_bytes: int, available_bytes: int) -> Restart:
    """Before every quad where two engines fit side by side; one at a time where they don't.

    On a GPU an engine takes all memory it can get, so two never fit. On a CPU each needs its weights half as much again
    and 3 GiB for itself.
    """
    needed = 2 * (_WEIGHTS_FACTOR * weights_bytes + _ROOM_PER_ENGINE_BYTES)
    fits = accelerator is Accelerator.CPU and needed <= available_bytes
    return Restart.QUAD if fits else Restart.EVERY


class Sides:
    """A and B. Use `begin` once, then as the Attendant of the trials."""

    def __init__(self, openings: Sequence[Opening], *, restart: Restart, observer: Observer) -> None:
        self._openings = openings
        self._restart = restart
        self._observer = observer
        self._up: dict[int, Target] = {}
        self._used: set[int] = set()
        self._starts = [0] * len(openings)
        self._common: Sequence[Target] = ()

    async def begin(self, *, first: int) -> Sequence[Target]:
        """Start both, to know that both can start and what they have in common; `first` stays up in any case."""
        found: dict[int, Target] = {}
        for side in (1 - first, first):
            self._up[side] = found[side] = await self._openings[side].open()
            if self._restart is Restart.EVERY and side != first:
                await self._stop(side)
        self._common = made_alike([found[side] for side in range(len(SIDES))])
        self._up = {side: self._alike(side, target) for side, target in self._up.items()}
        return self._common

    async def alone(self, side: int) -> Target:
        """That side, up; with the rule of one at a time the other is stopped first."""
        if self._restart is Restart.EVERY:
            await self._stop(1 - side)
        if side not in self._up:
            self._up[side] = self._alike(side, await self._openings[side].open())
        return self._up[side]

    async def before(self, row: Sequence[RunLog], step: Step, *, position: int) -> Sequence[Target]:
        """Stop and start what the rule asks for; see Attendant."""
        side = step.runtime
        up, used = frozenset(self._up), frozenset(self._used)
        changes = changes_before(self._restart, position=position, side=side, up=up, used=used)
        for one in sorted(changes.stop):
            await self._stop(one)
        for one in sorted(changes.start, key=lambda one: one != side):
            if one not in self._up:
                self._up[one] = self._alike(one, await self._openings[one].open())
                self._starts[one] += 1
        self._used.add(side)
        for one, target in self._up.items():
            row[one].target, row[one].starts = target, self._starts[one]
        return [target for one, target in self._up.items() if one != side]

    async def _stop(self, side: int) -> None:
        if not self._openings[side].is_ours or side not in self._up:
            return
        target = self._up.pop(side)
        self._used.discard(side)
        self._observer.phase(target.runtime, "stopping")
        if target.worker is not None:
            await target.worker.stop(grace_s=_STOP_GRACE_S)

    def _alike(self, side: int, target: Target) -> Target:
        """A side that came up again, named and asked as the first time."""
        told = self._common[side]
        return replace(target, runtime=told.runtime, window=told.window, form=told.form, tokenizer=told.tokenizer)


def made_alike(targets: Sequence[Target]) -> Sequence[Target]:
    """A and B with names of their own, one window, one form of prompts, one tokenizer."""
    windows = [target.window for target in targets if target.window is not None]
    tokenizer: PromptTokenizer | None = next((one.tokenizer for one in targets if one.tokenizer is not None), None)
    takes_ids = tokenizer is not None and all(target.form is PromptForm.TOKEN_IDS for target in targets)
    same_name = len({target.runtime for target in targets}) < len(targets)
    return [
        replace(
            target,
            runtime=f"{target.runtime} ({side})" if same_name else target.runtime,
            window=min(windows, default=None),
            form=PromptForm.TOKEN_IDS if takes_ids else PromptForm.TEXT,
            tokenizer=tokenizer,
        )
        for side, target in zip(SIDES, targets, strict=True)
    ]
