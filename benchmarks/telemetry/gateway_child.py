"""A gateway with one replica at URL, with its metrics on, off, or every request traced; prints its own address."""

import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop
from gateway_rig import Rig, gateway
from prometheus_client import CollectorRegistry

from tokenforge.domain.deployment import DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Observed, Phase, Replica, ReplicaPhase
from tokenforge.domain.generation import Capabilities, RuntimeInfo
from tokenforge.domain.model import parse_model
from tokenforge.domain.observing import Observing
from tokenforge.domain.runtime import parse_runtime
from tokenforge.telemetry.gateway_metrics import GatewayMetrics, Tokens
from tokenforge.telemetry.tracing.tracer import make_tracer

MODEL = "synthetic:tiny"


class Silent(GatewayMetrics):
    """Metrics that count nothing."""

    def count(self, path: str, outcome: str, *, duration_s: float) -> None:
        """Nothing."""

    def delivered(self, usage: Tokens) -> None:
        """Nothing."""

    def retried(self, path: str) -> None:
        """Nothing."""


async def main(url: str, mode: str) -> None:
    """Serve until standard input ends."""
    tracer = None
    if mode == "traced":
        observing = Observing(traces_url="http://127.0.0.1:9/v1/traces")
        tracer = make_tracer(observing, service="gateway", version="1", instance="1")
    with tempfile.TemporaryDirectory() as folder:
        async with gateway(Path(folder), tracer=tracer) as rig:
            await _route(rig, url)
            if mode == "off":
                rig.app.plane.metrics = Silent(CollectorRegistry())
            print(rig.url, flush=True)
            await asyncio.to_thread(sys.stdin.read)


async def _route(rig: Rig, url: str) -> None:
    """One deployment whose one replica is at `url`."""
    spec = DeploymentSpec(name="null", model=parse_model(MODEL), runtime=parse_runtime("sim"))
    identity = DeploymentId("null")
    await rig.store.deployments.create(spec, identity=identity, idempotency=None, is_name_chosen=True)
    info = RuntimeInfo(
        runtime="sim", engine="null", engine_version="1", model=MODEL, max_model_len=1 << 20,
        capabilities=Capabilities(), max_num_seqs=4096,
    )  # fmt: skip
    replica = Replica(id="null-0", template=spec.template, phase=ReplicaPhase.READY, url=url, info=info)
    observed = Observed(generation=1, phase=Phase.READY, replicas=(replica,))
    await rig.store.observations.observe(identity, observed, lease=rig.lease)
    await rig.feed.refresh()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], sys.argv[2]))
