"""What control counts of its own turns, and what it tells of deployments: read from what it saw last.

Deployments are told from one snapshot, so one that is deleted leaves the page; and only by who leads, so two control
processes do not tell two truths.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.domain.deployment import Deployment
from tokenforge.domain.deployment_state import Observed, Phase, ReplicaPhase
from tokenforge.telemetry.catalogue import platform
from tokenforge.telemetry.instruments import CounterOf, GaugeOf, HistogramOf, LabelBounds, family_of


class ControlMetrics:
    """Control's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._leading = GaugeOf(platform.LEADING, registry)
        self._duration = HistogramOf(platform.RECONCILE_DURATION, registry)
        self._errors = CounterOf(platform.RECONCILE_ERRORS, registry)
        self._started = CounterOf(platform.WORKERS_STARTED, registry)
        self._failed = CounterOf(platform.WORKERS_FAILED, registry)
        self._rollouts = CounterOf(platform.ROLLOUTS, registry)
        self._rolling: set[str] = set()
        self._fleet = _FleetCollector()
        self._leading.set(0.0)
        registry.register(self._fleet)

    def turned(self, deployments: Sequence[Deployment], *, duration_s: float) -> None:
        """One turn of who leads, and the deployments as it saw them."""
        self._leading.set(1.0)
        self._duration.observe(duration_s)
        self._fleet.deployments = tuple(deployments)

    def stood_by(self) -> None:
        """Another process leads."""
        self._leading.set(0.0)
        self._fleet.deployments = ()

    def turn_failed(self, code: str) -> None:
        """A turn ended in an error."""
        self._errors.inc(code)

    def worker_started(self) -> None:
        """A worker was launched."""
        self._started.inc()

    def observed(self, deployment: Deployment, now: Observed) -> None:
        """Something changed in what is seen of a deployment: a new failure, a rollout begun or done."""
        before = deployment.observed
        if now.failures > before.failures or (now.failures and now.retry_at_s > before.retry_at_s):
            condition = now.condition("Healthy") or now.condition("Prepared")
            failed = next((c for c in now.conditions if not c.is_true and c.type in ("Healthy", "Prepared")), condition)
            self._failed.inc(failed.reason if failed is not None else "unknown")
        if before.generation and now.generation > before.generation:
            self._rolling.add(deployment.id)
        if deployment.id in self._rolling and now.phase is Phase.READY and _is_of_one_spec(deployment, now):
            self._rolling.discard(deployment.id)
            self._rollouts.inc()


def _is_of_one_spec(deployment: Deployment, now: Observed) -> bool:
    return {replica.template for replica in now.replicas} <= {deployment.spec.template}


class _FleetCollector(Collector):
    """The deployments of now, as gauges."""

    def __init__(self) -> None:
        self.deployments: tuple[Deployment, ...] = ()

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand: without deployments there is nothing to tell."""
        return ()

    def collect(self) -> Iterator[Family]:
        """A family for each thing that is told of them."""
        seen = self.deployments[: platform.DEPLOYMENT_WANTED.labels[0].most]
        if not seen:
            return
        names = [deployment.spec.name for deployment in seen]
        pairs = list(zip(names, seen, strict=True))
        yield family_of(
            platform.DEPLOYMENT_INFO, {(n, d.id, str(d.spec.model), str(d.spec.runtime)): 1.0 for n, d in pairs}
        )
        yield family_of(
            platform.DEPLOYMENT_PHASE,
            {(n, phase.value): float(d.observed.phase is phase) for n, d in pairs for phase in Phase},
        )
        yield family_of(platform.DEPLOYMENT_WANTED, {(n,): d.wanted for n, d in pairs})
        yield family_of(platform.DEPLOYMENT_REPLICAS, {
            (n, state.value): sum(replica.phase is state for replica in d.observed.replicas)
            for n, d in pairs for state in ReplicaPhase
        })  # fmt: skip
        yield family_of(platform.DEPLOYMENT_CONDITION, _conditions(pairs))
        yield family_of(platform.DEPLOYMENT_GENERATION, {(n,): d.generation for n, d in pairs})
        yield family_of(platform.DEPLOYMENT_FAILURES, {(n,): d.observed.failures for n, d in pairs})


def _conditions(pairs: Iterable[tuple[str, Deployment]]) -> dict[tuple[str, ...], float]:
    bounds = LabelBounds(platform.DEPLOYMENT_CONDITION.labels)
    return {
        bounds.within((name, condition.type, condition.reason)): float(condition.is_true)
        for name, deployment in pairs
        for condition in deployment.observed.conditions
    }
