"""What follows where replicas of the newest spec find no GPU: who gives way, or why they wait. Pure.

New replicas start beside the old ones while there are GPUs for both. Where there are none, replicas of an older spec
give way one at a time, each once those before it serve: a spec that does not come up costs one replica, not all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.cluster.base import Sighting
from tokenforge.control.conditions import Trouble, preparation_trouble
from tokenforge.control.decision import PreparationStatus, World
from tokenforge.protocol.worker_spec import WorkerPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Too few GPUs for what is to start. `trouble` says why, unless it is passing: own replicas leave theirs.

    `giving_way` are replicas of an older spec that are stopped for their GPUs.
    """

    trouble: Trouble | None = None
    is_passing: bool = False
    giving_way: tuple[str, ...] = ()


def lack_of_cards(
    world: World, *, missing: int, starting: int, old: Sequence[Sighting], leaving: Sequence[Sighting], is_calm: bool
) -> Lack:
    """What keeps replicas from starting, where it is the GPUs.

    Of `missing` ones `starting` actions begin now; `old` are those of an older spec, `leaving` those that end already.
    `is_calm`: all replicas of the newest spec serve.
    """
    is_prepared = world.preparation is not None and world.preparation.status is PreparationStatus.DONE
    if world.cards is None or not is_prepared or missing <= starting or (not starting and world.cards.room(1)):
        return Lack()  # they start, or it is something else that they wait for
    own = {worker.name for worker in (*old, *leaving)}
    if not world.cards.without(own).room(starting + 1) > starting:
        return Lack(trouble=preparation_trouble(world.cards.after(starting).shortage()))
    if starting or leaving or not is_calm or not old:
        return Lack(is_passing=True)
    least = min(old, key=lambda worker: (_serves(worker, world), -worker.launched_at_s))
    return Lack(is_passing=True, giving_way=(least.name,))


def _serves(worker: Sighting, world: World) -> bool:
    return worker.phase is WorkerPhase.READY and worker.name not in world.silent
