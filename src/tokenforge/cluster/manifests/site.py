"""Site: how one cluster is to be used. It is what an operator decides once, and no deployment says.

Read from a file (YAML or JSON) that must be understood whole: a name that is not known is a fault with its path.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.domain.runtime import Accelerator, RuntimeRef
from tokenforge.protocol.worker_spec import read_record


class CacheKind(enum.StrEnum):
    """Where models lie. `ephemeral`: on the node, fetched by every pod anew; the others stay.

    `host_path` is a folder of the node: Pod Security `restricted` and `baseline` refuse it, so the namespace must not
    enforce them.
    """

    EPHEMERAL = "ephemeral"
    CLAIM = "claim"
    HOST_PATH = "host_path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The volume of models. `name`: the claim, or the folder of the node; nothing for an ephemeral one."""

    kind: CacheKind = CacheKind.EPHEMERAL
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take here. Probes and deadlines are computed from it.

    `load_bytes_per_s` is how fast weights come from the cache into an engine, `fetch_bytes_per_s` from the hub into the
    cache; both for a slow day, since a probe that is too hasty kills a worker that would have come up. `start_s` is
    what an engine takes beside its weights (imports, compilation). `drain_s` is how long requests of a stopped worker
    may go on, `leave_s` how long it still takes new ones, until every gateway has heard that it leaves.
    """

    load_bytes_per_s: float = 100e6
    fetch_bytes_per_s: float = 20e6
    start_s: float = 300.0
    drain_s: float = 30.0
    leave_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drivers:
    """The pods that offer a benchmark's load. `image` may hold `{version}`; `most` bounds how many share one trial.

    `cpu` is requested and is the limit, so that nothing else of the node has their time; `memory` as Kubernetes writes
    it. `node_selector` and `tolerations` are Kubernetes' own: load is best offered from nodes without engines.
    """

    image: str = "tokenforge-core:{version}"
    most: int = 16
    cpu: str = "1"
    memory: str = "1Gi"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One cluster's ways. `instance` tells two TokenForges of one namespace apart.

    `image` may hold `{runtime}`, `{runtime_version}`, `{version}` (of TokenForge) and `{accelerator}`. `hub_token`
    and `env` are names of Secrets: the one has the key `token` and is given to the step that fetches the model alone;
    the other has a key for each name in a deployment's `env`. `gpus_per_node`: a replica with more GPUs spans nodes.
    `allowed_from` are networks (CIDR) outside the cluster's pods that may reach replicas: that of a gateway that runs
    elsewhere, if any. `autoscale_metric` is the metric of pods that a HorizontalPodAutoscaler goes by. `artifacts` is
    the name of a Secret with the keys `url` (an S3 store, as TOKENFORGE_ARTIFACTS_URL has it), `access_key_id` and
    `secret_access_key`: `drivers` bring what they recorded there.
    """

    namespace: str = "tokenforge"
    instance: str = "tokenforge"
    image: str = "tokenforge-{runtime}:{version}-{accelerator}"
    image_pull_secrets: tuple[str, ...] = ()
    gpu_resource: str = "nvidia.com/gpu"
    gpu_type_label: str = "nvidia.com/gpu.product"
    gpus_per_node: int = 8
    cache: Cache = field(default_factory=Cache)
    hub_token: str | None = None
    hub_offline: bool = False
    env: str | None = None
    runtime_class: str | None = None
    priority_class: str | None = None
    monitoring_namespace: str | None = None
    allowed_from: tuple[str, ...] = ()
    autoscale_metric: str = "tokenforge_requests_running"
    artifacts: str = "tokenforge-artifacts"
    drivers: Drivers = field(default_factory=Drivers)
    pace: Pace = field(default_factory=Pace)

    def image_of(self, runtime: RuntimeRef, *, accelerator: Accelerator, version: str) -> str:
        """The image that serves that runtime."""
        words = {
            "{runtime}": runtime.name,
            "{runtime_version}": runtime.version or "default",
            "{version}": version,
            "{accelerator}": str(accelerator),
        }
        image = self.image
        for word, value in words.items():
            image = image.replace(word, value)
        return image


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the API server can do, as it says itself. The defaults are those of a current one, without add-ons."""

    has_policy_v1: bool = True
    has_autoscaling_v2: bool = True
    has_pod_monitor: bool = False
    has_autoscale_metric: bool = False
    has_leader_worker_set: bool = False
    has_unhealthy_eviction: bool = True


def read_site(value: Mapping[str, object], *, source: str) -> Site:
    """The site that `value` describes. Raises InvalidInput with every fault."""
    return read_record(Site, value, source=source)


def startup_budget_s(model_bytes: int | None, pace: Pace) -> float:
    """How long a worker may take from its start to its first answer; an hour where the size is not known."""
    if model_bytes is None:
        return 3600.0
    return pace.start_s + model_bytes / pace.load_bytes_per_s


def progress_limit_s(model_bytes: int | None, pace: Pace) -> int:
    """How long a rollout may stand still: fetching, loading, and some minutes for a node to come."""
    fetch_s = 3600.0 if model_bytes is None else model_bytes / pace.fetch_bytes_per_s
    return math.ceil(600.0 + fetch_s + startup_budget_s(model_bytes, pace))


def grace_s(pace: Pace) -> int:
    """How long a pod may take to end: it leaves, drains, closes its engine; only then it is killed."""
    return math.ceil(pace.leave_s + pace.drain_s + _CLOSE_S)


_CLOSE_S = 30.0
"""More than a worker's own last resort needs after its drain (15 s for the engine, 2 s for last bytes, 5 s over)."""
