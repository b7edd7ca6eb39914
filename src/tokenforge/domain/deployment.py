"""Deployment: a promise to serve a Model on a Runtime. What is wanted (the spec), and what is seen of it (observed).

Everything here is data. Who compares the two and acts is control's `reconcile`; who asks is the gateway.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NewType

from tokenforge.domain.benchmark import Resources, hide_secrets
from tokenforge.domain.canonical import sha256_hex
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.model import ModelRef
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Quant, RuntimeRef

DeploymentId = NewType("DeploymentId", str)


class Routing(enum.StrEnum):
    """How a gateway chooses among the replicas of a deployment.

    `least_load`: the one with the fewest requests. `prefix`: requests with the same session, or the same beginning of
    their prompt, go to the same replica, where the prefix cache has it; none gets more than its part of the load.
    """

    LEAST_LOAD = "least_load"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscale:
    """Between how many replicas, and the requests (in flight or waiting) for each that are aimed at.

    `ttft_ms`: above this p90 of the time to the first token one replica is added, whatever the requests say. Replicas
    are taken away once fewer were enough for `down_after_s`. With `min` 0 the last one goes after `idle_s` without a
    request, and the next request starts one again.
    """

    min: int
    max: int
    target: float
    ttft_ms: float | None = None
    down_after_s: float = 60.0
    idle_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSpec:
    """What is wanted, as the user wrote it with defaults filled in.

    `name` is unique among deployments. `replicas` 0 keeps the promise and runs nothing; with `autoscale` it is the
    number to begin with. `env` are names of secrets,
    never values. `revision` is free text: changing it alone starts every replica anew. `node_selector` and
    `tolerations` are Kubernetes' own and mean nothing elsewhere.
    """

    name: str
    model: ModelRef
    runtime: RuntimeRef
    quant: Quant | None = None
    replicas: int = 1
    target: Placement = Placement.LOCAL
    resources: Resources = field(default_factory=Resources)
    max_model_len: int | None = None
    tensor_parallel: int | None = None
    engine_args: Mapping[str, object] = field(default_factory=dict)
    autoscale: Autoscale | None = None
    routing: Routing = Routing.PREFIX
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()
    env: tuple[str, ...] = ()
    revision: str | None = None

    @property
    def kept_replicas(self) -> int:
        """How many are kept for it beside other deployments: the number, or the least of autoscale, one at least."""
        return self.replicas if self.autoscale is None else max(1, self.autoscale.min)

    @property
    def template(self) -> str:
        """What a replica is made from, as a short digest: replicas of one template are alike."""
        return sha256_hex(replace(self, name="", replicas=0, autoscale=None, routing=Routing.PREFIX))[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One promise. `generation` counts changes of the spec, from 1. Times are RFC 3339 UTC."""

    id: DeploymentId
    spec: DeploymentSpec
    generation: int
    observed: Observed
    is_deleting: bool = False
    created_at: str
    updated_at: str

    @property
    def wanted(self) -> int:
        """How many replicas are wanted now: the number in the spec, or what autoscale has come to."""
        scaling = self.observed.scaling
        return self.spec.replicas if self.spec.autoscale is None or scaling is None else scaling.replicas

    @property
    def is_ready(self) -> bool:
        """Whether the newest generation serves: never true of an older one."""
        return self.observed.generation == self.generation and self.observed.is_ready and not self.is_deleting


def shown_spec(spec: DeploymentSpec) -> DeploymentSpec:
    """The spec as it may be shown: engine arguments named like a secret are hidden."""
    return replace(spec, engine_args=hide_secrets(spec.engine_args))
