"""The bodies of `POST /deploy` and `PATCH /deployments/{id}` as schemas: keys, types and ranges.

The descriptions are the hints a user reads, and the words of the served OpenAPI document.
"""

import re
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tokenforge.domain.deployment import Routing
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Quant
from tokenforge.protocol.benchmark_body import ResourcesBody
from tokenforge.protocol.benchmark_lengths import Body

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
MOST_REPLICAS = 1_024
_MOST = 64
_Label = Annotated[str, Field(max_length=253)]
_SECRET_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"


class AutoscaleBody(Body):
    """`autoscale: {min: 0, max: 4, target: 8}`."""

    min: int = Field(ge=0, le=MOST_REPLICAS, description="the fewest replicas")
    max: int = Field(ge=1, le=MOST_REPLICAS, description="the most replicas")
    target: float = Field(gt=0, le=1_000_000, description="requests there for each replica, for example 8")
    ttft_ms: float | None = Field(default=None, gt=0, le=3_600_000, description="p90 of the time to the first token")
    down_after_s: float = Field(default=60.0, ge=1, le=86_400, description="fewer were enough for so long, e.g. 60")
    idle_s: float = Field(default=300.0, ge=1, le=2_592_000, description="without a request until zero, e.g. 300")

    @model_validator(mode="after")
    def _ordered(self) -> "AutoscaleBody":
        if self.min > self.max:
            raise PydanticCustomError("bounds", "min is above max = {max}", {"field": "min", "max": self.max})
        return self


class DeployBody(Body):
    """What is to be served, on what, how often."""

    model: str = Field(min_length=1, max_length=4_096, description="a hub id, a folder (/path), or synthetic:NAME")
    runtime: str = Field(min_length=1, max_length=128, description="NAME or NAME@VERSION, for example vllm@0.32.0")
    quant: Quant | None = Field(default=None, strict=False, description="the weights' format; default: the model's own")
    name: str | None = Field(default=None, pattern=NAME_PATTERN, description="a-z, 0-9 and -, up to 63, unique")
    replicas: int = Field(default=1, ge=0, le=MOST_REPLICAS, description="how many workers, for example 1")
    target: Placement = Field(default=Placement.LOCAL, strict=False, description="local or kubernetes")
    resources: ResourcesBody = Field(
        default=ResourcesBody(), description="a mapping: gpu, gpu_type, cpu, memory, for each replica"
    )
    max_model_len: int | None = Field(default=None, ge=1, le=2**31 - 1, description="the window in tokens")
    tensor_parallel: int | None = Field(default=None, ge=1, le=1_024, description="GPUs that share one replica")
    engine_args: dict[str, object] = Field(default_factory=dict, description="a mapping that goes to the engine as is")
    autoscale: AutoscaleBody | None = Field(
        default=None, description="a mapping: min, max, target, ttft_ms, down_after_s, idle_s"
    )
    routing: Routing = Field(
        default=Routing.PREFIX, strict=False, description="prefix (same beginning, same replica) or least_load"
    )
    node_selector: dict[_Label, _Label] = Field(
        default_factory=dict,
        max_length=_MOST,
        description="labels of nodes (kubernetes), up to 64 of up to 253 characters",
    )
    tolerations: list[dict[_Label, object]] = Field(
        default_factory=list, max_length=_MOST, description="tolerations (kubernetes), up to 64"
    )
    env: list[str] = Field(default_factory=list, max_length=_MOST, description="names of secrets, never values")
    revision: str | None = Field(default=None, max_length=256, description="any text; a change starts replicas anew")

    @model_validator(mode="after")
    def _names_of_secrets(self) -> "DeployBody":
        if any(re.match(_SECRET_NAME, name) is None for name in self.env):
            raise PydanticCustomError("bounds", "env holds something that is not a name", {"field": "env"})
        return self


class PatchBody(Body):
    """What may change in a deployment that is there; an absent key stays as it is, null gives it its default back."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: object) -> object:
        """Nulls are said on purpose here."""
        return value

    replicas: int | None = Field(default=None, ge=0, le=MOST_REPLICAS, description="how many workers, for example 2")
    resources: ResourcesBody | None = Field(default=None, description="a mapping: gpu, gpu_type, cpu, memory")
    engine_args: dict[str, object] | None = Field(default=None, description="replaces the engine arguments")
    quant: Quant | None = Field(default=None, strict=False, description="the weights' format")
    max_model_len: int | None = Field(default=None, ge=1, le=2**31 - 1, description="the window in tokens")
    autoscale: AutoscaleBody | None = Field(
        default=None, description="a mapping: min, max, target, ttft_ms, down_after_s, idle_s"
    )
    routing: Routing | None = Field(default=None, strict=False, description="prefix or least_load")
    revision: str | None = Field(default=None, max_length=256, description="any text; a change starts replicas anew")
