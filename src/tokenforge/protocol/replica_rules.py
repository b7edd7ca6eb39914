"""How many replicas may be asked for: within what the server is for in all, and within the bounds of autoscale."""

from collections.abc import Sequence

from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.placement import Placement
from tokenforge.protocol.deploy_body import AutoscaleBody


def replica_faults(replicas: object, most: int) -> list[Fault]:
    """Too many for this server; what is no number is told elsewhere."""
    if not isinstance(replicas, int) or replicas <= most:
        return []
    return [Fault(field="replicas", value=replicas, message="is more than this machine is for", hint=f"up to {most}")]


def autoscale_faults(autoscale: AutoscaleBody | None, *, replicas: int | None, most: int) -> list[Fault]:
    """Bounds beyond the server's, or a number to begin with (where one was given) beyond the bounds."""
    if autoscale is None:
        return []
    faults = []
    if autoscale.max > most:
        hint = f"up to {most}"
        message = "is more than this machine is for"
        faults.append(Fault(field="autoscale.max", value=autoscale.max, message=message, hint=hint))
    if replicas is not None and not autoscale.min <= replicas <= autoscale.max:
        message = f"is not within autoscale, from {autoscale.min} to {autoscale.max}"
        hint = "leave it out, or write the number to begin with"
        faults.append(Fault(field="replicas", value=replicas, message=message, hint=hint))
    return faults


def first_replicas(autoscale: AutoscaleBody | None, replicas: int) -> int:
    """The number to begin with: within the bounds of autoscale, where there are any."""
    return replicas if autoscale is None else min(max(replicas, autoscale.min), autoscale.max)


def require_room(spec: DeploymentSpec, others: Sequence[DeploymentSpec], *, most: int) -> None:
    """Raise InvalidInput when all deployments of this machine together would have more than `most` replicas."""
    there = sum(one.kept_replicas for one in others if one.target is Placement.LOCAL)
    if spec.target is not Placement.LOCAL or there + spec.kept_replicas <= most:
        return
    is_fixed = spec.autoscale is None
    message = f"is too many beside {there} of other deployments: {most} in all may run on this machine"
    hint = "lower it, delete a deployment, or start the server with a larger TOKENFORGE_MOST_REPLICAS"
    field = "replicas" if is_fixed else "autoscale.min"
    value = spec.replicas if spec.autoscale is None else spec.autoscale.min
    raise InvalidInput([Fault(field=field, value=value, message=message, hint=hint)], source="deployment")
