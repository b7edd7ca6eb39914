"""Control over real workers on simulated cards; as a program it is a control process that can be killed.

python card_control.py STORE FLEET MODEL CARDS OWNER
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from tokenforge.cluster.local_fleet import LocalFleet
from tokenforge.control.cards import Card
from tokenforge.control.loop import Control
from tokenforge.control.preparations import Preparations
from tokenforge.control.prepare import Prepared, cards_asked
from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.runtime import Accelerator
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.registry import find_plug
from tokenforge.store.sql.store import Store, open_store


def card_control(store: Store, *, folder: Path, model: Path, cards: int, owner: str) -> Control:
    """A control whose machine has so many cards, by a list that it is told."""
    numbers = itertools.count()
    return Control(
        deployments=store.deployments, observations=store.observations, events=store.events, leases=store.leases,
        demands=store.demands, fleet=LocalFleet(folder=folder),
        preparations=Preparations(work=lambda spec, _: _prepared(spec, model)), owner=owner,
        new_id=lambda: f"{owner}-{next(numbers)}", free_bytes=lambda: 64 * 2.0**30, drain_s=0.2, tick_s=0.02,
        lease_ttl_s=1.0,
        read_cards=lambda: [Card(id=f"GPU-sim-{n}", number=n, name="simulated") for n in range(cards)],
    )  # fmt: skip


def _prepared(spec: DeploymentSpec, model: Path) -> Prepared:
    """What control would prepare on a machine with GPUs."""
    runtime = RuntimeSpec(runtime="sim", model_path=str(model), served_name="m", engine_args=spec.engine_args)
    cards = cards_asked(spec, find_plug("sim"), accelerator=Accelerator.CUDA, is_engine=False)
    return Prepared(runtime=runtime, python=Path(sys.executable), process_env=dict(os.environ), cards=cards)


async def _main(store_file: str, folder: str, model: str, cards: str, owner: str) -> None:
    store = open_store(Path(store_file))
    control = card_control(store, folder=Path(folder), model=Path(model), cards=int(cards), owner=owner)
    await control.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
