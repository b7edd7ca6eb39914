"""Names and labels of objects: what is ours is known by its labels, whoever made it and whenever."""

import re
from collections.abc import Mapping

from tokenforge.domain.deployment import Deployment, DeploymentId

DEPLOYMENT = "tokenforge/deployment"
TEMPLATE = "tokenforge/template"
GENERATION = "tokenforge/generation"
DIGEST = "tokenforge/digest"
SCALED_BY = "tokenforge/scaled-by"
ROLE = "tokenforge/role"
FOLLOWER = "follower"
"""Of a pod that is a part of an engine and serves nothing itself."""

GROUP_INDEX = "leaderworkerset.sigs.k8s.io/group-index"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"

_ID_LETTERS = 8
_MOST_LETTERS = 52
"""A name plus what Kubernetes adds to it for pods must fit into the 63 letters of a host name."""


def object_name(deployment: Deployment) -> str:
    """The name that all objects of a deployment have: of its own name, and unique by its id."""
    tail = re.sub(r"[^a-z0-9]", "", deployment.id.lower())[-_ID_LETTERS:]
    head = deployment.spec.name[: _MOST_LETTERS - len("tf--") - len(tail)].strip("-")
    return f"tf-{head}-{tail}" if tail else f"tf-{head}"


def own_labels(instance: str) -> dict[str, str]:
    """What every object that control made for this instance has."""
    return {INSTANCE: instance, COMPONENT: "worker", MANAGED_BY: "tokenforge"}


def labels(deployment: DeploymentId, *, instance: str) -> dict[str, str]:
    """The labels of one deployment's objects; also what selects its pods."""
    return {"app.kubernetes.io/name": "tokenforge-worker", **own_labels(instance), DEPLOYMENT: str(deployment)}


def selector_text(wanted: Mapping[str, str]) -> str:
    """A label selector as the API takes it."""
    return ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
