"""A platform's store with one deployment that is ready at an upstream, and a key: what our gateway is measured with.

    python benchmarks/gateway/seed.py FOLDER http://127.0.0.1:PORT [PLACES]

Prints the key. PLACES is how many sequences the upstream says it runs at once.
"""

import asyncio
import os
import sys
from pathlib import Path

from tokenforge.domain.deployment import DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Observed, Phase, Replica, ReplicaPhase
from tokenforge.domain.generation import Capabilities, RuntimeInfo
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime
from tokenforge.protocol.keys import RANDOM_BYTES, KeyBody, mint
from tokenforge.store.sql.store import open_store

MODEL = "synthetic:tiny"
_MANY = 100_000


async def seed(folder: Path, url: str, *, places: int) -> str:
    """Write the store; returns the key."""
    store = open_store(folder / "platform.db")
    try:
        lease = await store.leases.acquire("control", owner="seed", ttl_s=600)
        assert lease is not None
        spec = DeploymentSpec(name="bench", model=parse_model(MODEL), runtime=parse_runtime("sim"))
        identity = DeploymentId("bench")
        await store.deployments.create(spec, identity=identity, idempotency=None, is_name_chosen=True)
        info = RuntimeInfo(
            runtime="sim", engine="stub", engine_version="1", model=MODEL, max_model_len=4096,
            capabilities=Capabilities(), max_num_seqs=places,
        )  # fmt: skip
        replica = Replica(id="bench-0", template=spec.template, phase=ReplicaPhase.READY, url=url, info=info)
        observed = Observed(generation=1, phase=Phase.READY, replicas=(replica,))
        await store.observations.observe(identity, observed, lease=lease)
        body = KeyBody(name="load", scopes=["infer", "admin"], requests_per_minute=10_000_000, concurrency=1_000_000)
        key, token = mint(body, random=os.urandom(RANDOM_BYTES), now="2026-01-01T00:00:00Z")
        await store.keys.add(key)
        return token
    finally:
        await store.close()


if __name__ == "__main__":
    wanted = int(sys.argv[3]) if len(sys.argv) > 3 else _MANY
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(asyncio.run(seed(place, sys.argv[2], places=wanted)) + "\n")
