"""Where a queued benchmark's load goes: deployments that are as it wants them, found or made, once they are ready."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tokenforge.control.remainder import remainder, withdrawn
from tokenforge.domain.benchmark import Benchmark, Order
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.errors import NotEnoughGpus, RunInterrupted, WorkerFailed
from tokenforge.domain.model import ModelRef
from tokenforge.domain.queued import QueuedBenchmark
from tokenforge.domain.run import RunStatus
from tokenforge.domain.runtime import RuntimeRef
from tokenforge.protocol.benchmark import parse_benchmark
from tokenforge.protocol.benchmark_workload_rules import Formats
from tokenforge.protocol.deploy import default_name
from tokenforge.store.base import Admit, Benchmarks, Deployments, Events, Lease

POLL_S = 0.3
MOST_FAILURES = 3
"""Failed starts in a row of a deployment after which its benchmark fails."""

READY_LIMIT_S = 3600.0
GPU_LIMIT_S = 60.0
"""How long it is waited for GPUs that others hold: those that end leave theirs by then, and the benchmark's own engines
never do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlaces:
    """`gateway_url` is where load goes, `formats` what traces and datasets can be read.

    `admit` is asked before a deployment is made.
    """

    benchmarks: Benchmarks
    deployments: Deployments
    events: Events
    gateway_url: Callable[[], str]
    formats: Formats
    new_id: Callable[[], str]
    clock: Callable[[], float] = time.monotonic
    ready_limit_s: float = READY_LIMIT_S
    gpu_limit_s: float = GPU_LIMIT_S
    admit: Admit | None = None

    async def of(
        self, queued: QueuedBenchmark, *, held: Callable[[], Lease], stop: asyncio.Event
    ) -> list[Mapping[str, str]] | None:
        """Where the load goes, once all is ready; None when one of its runs was cancelled meanwhile.

        `held` is the lease, or raises LeaseLost. Raises RunInterrupted on `stop`, WorkerFailed when one does not come,
        NotEnoughGpus when others hold the GPUs it needs.
        """
        benchmark = parse_benchmark(remainder(queued), formats=self.formats)
        if benchmark.order is Order.SEQUENTIAL:
            return []  # one engine at a time: the process starts them itself
        places: dict[tuple[str, str], DeploymentId] = {}
        made: list[str] = json.loads(queued.facts.get("made", "[]"))
        for model in benchmark.models:
            for runtime in benchmark.runtimes:
                identity = DeploymentId(self.new_id())
                await self._remember(queued, [*made, identity], held())  # before it is made: it is never left over
                deployment, is_new = await self._ensure(queued, benchmark, model, runtime, identity=identity)
                places[str(model), str(runtime)] = deployment.id
                made += [deployment.id] if is_new else []
        if not await self._until_ready(queued, tuple(places.values()), held=held, stop=stop):
            return None
        base = self.gateway_url()
        return [
            {"model": model, "runtime": runtime, "url": f"{base}/deployments/{identity}"}
            for (model, runtime), identity in places.items()
        ]

    async def _ensure(
        self,
        queued: QueuedBenchmark,
        benchmark: Benchmark,
        model: ModelRef,
        runtime: RuntimeRef,
        *,
        identity: DeploymentId,
    ) -> tuple[Deployment, bool]:
        """A deployment that is as the benchmark wants it: one that is there, or a new one of that id."""
        spec = DeploymentSpec(
            name=f"bench-{default_name(model, runtime)}",
            model=model,
            runtime=runtime,
            quant=benchmark.quant,
            resources=benchmark.resources,
            max_model_len=benchmark.max_model_len,
            engine_args=benchmark.engine_args.get(runtime.name, {}),
            target=benchmark.target,
        )
        for deployment in await self.deployments.list():
            there = deployment.spec
            wanted = replace(spec, name=there.name, replicas=there.replicas, autoscale=there.autoscale)
            if there.template == wanted.template and _is_steady(there) and not deployment.is_deleting:
                return deployment, False
        await self.events.append(queued.id, reason="Progress", message=f"deploying {model} on {runtime}")
        return await self.deployments.create(
            spec, identity=identity, idempotency=None, is_name_chosen=False, admit=self.admit
        )

    async def _until_ready(
        self,
        queued: QueuedBenchmark,
        wanted: tuple[DeploymentId, ...],
        *,
        held: Callable[[], Lease],
        stop: asyncio.Event,
    ) -> bool:
        """Wait; False when a run was cancelled."""
        until_s = self.clock() + self.ready_limit_s
        short_s: float | None = None
        while True:
            held()
            there = [await self.deployments.get(identity) for identity in wanted]
            if all(deployment.is_ready for deployment in there):
                return True
            short_s = (short_s or self.clock()) if any(map(_lacks_gpus, there)) else None
            is_short = short_s is not None and self.clock() - short_s > self.gpu_limit_s
            for deployment in there:
                _require_gpus(deployment, is_late=is_short)
                _require_hope(deployment, is_late=self.clock() > until_s, limit_s=self.ready_limit_s)
            if withdrawn(await self.benchmarks.get(queued.id)) != withdrawn(queued):
                return False
            if stop.is_set():
                raise RunInterrupted("control was asked to end")
            await asyncio.sleep(POLL_S)

    async def _remember(self, queued: QueuedBenchmark, made: list[str], lease: Lease) -> None:
        """What was made for it is removed with it, by whoever leads then."""
        facts = {"made": json.dumps(made)}
        await self.benchmarks.step(queued.id, to=RunStatus.PREPARING, lease=lease, facts=facts)


def _is_steady(there: DeploymentSpec) -> bool:
    """Whether its replicas stay as they are while a benchmark is measured: none may come or go by the load itself."""
    return there.replicas > 0 and there.autoscale is None


def _lacks_gpus(deployment: Deployment) -> bool:
    healthy = deployment.observed.condition("Healthy")
    return not deployment.is_ready and healthy is not None and healthy.reason == "InsufficientGPU"


def _require_gpus(deployment: Deployment, *, is_late: bool) -> None:
    """Raise NotEnoughGpus, with who holds them, when they do not become free."""
    healthy = deployment.observed.condition("Healthy")
    if is_late and healthy is not None and _lacks_gpus(deployment):
        hint = "Write order: sequential, give each engine a share of a GPU's memory, or delete what holds them"
        raise NotEnoughGpus(f"deployment {deployment.spec.name} has no GPU: {healthy.message}", hint=hint)


def _require_hope(deployment: Deployment, *, is_late: bool, limit_s: float) -> None:
    """Raise WorkerFailed, with the cause, when it will not come up."""
    healthy = deployment.observed.condition("Healthy")
    if deployment.observed.failures >= MOST_FAILURES and healthy is not None and not healthy.is_true:
        message = f"deployment {deployment.spec.name} does not come up: {healthy.message}"
        raise WorkerFailed(message, last_words=healthy.last_words)
    if is_late and not deployment.is_ready:
        phase = deployment.observed.phase
        raise WorkerFailed(f"deployment {deployment.spec.name} was not ready after {limit_s:g} s: it is {phase}")
