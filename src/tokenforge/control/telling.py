"""What control tells of a deployment: to the store what is so, to people an event for every condition that changed."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from tokenforge.domain.deployment import Deployment
from tokenforge.domain.deployment_state import Condition, Observed
from tokenforge.domain.moments import moment_text
from tokenforge.store.base import Events, Lease, Observations
from tokenforge.telemetry.control_metrics import ControlMetrics

_log = logging.getLogger(__name__)
_WORDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Where it is told, whoever keeps the replicas."""

    observations: Observations
    events: Events
    metrics: ControlMetrics | None = None

    async def observed(self, deployment: Deployment, observed: Observed, *, lease: Lease) -> None:
        """What is so now, where that is news. Raises LeaseLost."""
        if observed == deployment.observed:
            return
        await self.observations.observe(deployment.id, observed, lease=lease)
        await _tell_conditions(self.events, deployment, observed)
        if self.metrics is not None:
            self.metrics.observed(deployment, observed)

    async def removed(self, deployment: Deployment, *, lease: Lease, message: str) -> None:
        """It is gone. Raises LeaseLost."""
        await self.observations.remove(deployment.id, lease=lease)
        await self.events.append(deployment.id, reason="Deleted", message=message)


async def _tell_conditions(events: Events, deployment: Deployment, observed: Observed) -> None:
    """Events for what changed in the conditions, so that people can read what happened."""
    for condition in observed.conditions:
        known = deployment.observed.condition(condition.type)
        if known is None or _said(known) != _said(condition):
            words = "".join(f"\n{line}" for line in condition.last_words[-_WORDS:])
            text = f"{condition.type}: {condition.message}{words}"
            await events.append(deployment.id, reason=condition.reason, message=text)
            _log.info("deployment=%s %s=%s %s", deployment.spec.name, condition.type, condition.reason, text)


def time_text(unix_s: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    return moment_text(datetime.fromtimestamp(unix_s, UTC))


def _said(condition: Condition) -> tuple[object, ...]:
    """What makes it another one: how many replicas demand asks for may change for the same reason many times."""
    return (condition.reason, condition.is_true, condition.message if condition.type == "Scaled" else "")
