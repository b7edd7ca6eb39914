"""How many replicas each deployment may have when all together may not have more than so many. Pure counting.

Who was first is served first, and none grows into what another one has. An autoscaled deployment keeps room for one
replica while it is idle, so that it can always wake.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenforge.domain.deployment import Deployment, DeploymentId


@dataclass(slots=True)
class Budget:
    """`most` for all of these deployments, the oldest first; ask and tell in that order."""

    deployments: Sequence[Deployment]
    most: int
    _granted: dict[DeploymentId, int] = field(default_factory=dict)

    def room(self, deployment: Deployment) -> int:
        """How many it may have."""
        others = [one for one in self.deployments if one.id != deployment.id]
        left = self.most - sum(self._granted.get(one.id, 0) for one in others)
        waiting = sum(_kept(one, one.wanted) for one in others if one.id not in self._granted)
        return max(0, min(_kept(deployment, deployment.wanted), left), left - waiting)

    def grant(self, deployment: Deployment, replicas: int) -> None:
        """It has so many now."""
        self._granted[deployment.id] = _kept(deployment, replicas)


def _kept(deployment: Deployment, replicas: int) -> int:
    if deployment.is_deleting:
        return 0
    return replicas if deployment.spec.autoscale is None else max(1, replicas)
