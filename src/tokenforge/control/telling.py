"""What control tells people: an event for every condition that changed, and times as text."""

import logging
from datetime import UTC, datetime

from tokenforge.domain.deployment import Deployment
from tokenforge.domain.deployment_state import Condition, Observed
from tokenforge.store.base import Events

_log = logging.getLogger(__name__)
_WORDS = 5


async def tell_conditions(events: Events, deployment: Deployment, observed: Observed) -> None:
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
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _said(condition: Condition) -> tuple[object, ...]:
    """What makes it another one: how many replicas demand asks for may change for the same reason many times."""
    return (condition.reason, condition.is_true, condition.message if condition.type == "Scaled" else "")
