"""Deployments and sites for tests of what they become on Kubernetes."""

from dataclasses import replace
from typing import Any

from tokenforge.cluster.manifests.objects import DeploymentObjects, objects_of
from tokenforge.cluster.manifests.site import Cache, CacheKind, Features, Site
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import Autoscale, Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.model import parse_model
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import parse_runtime

SPEC = DeploymentSpec(
    name="tiny", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"), target=Placement.KUBERNETES
)
GPU_SPEC = replace(
    SPEC, name="llama", model=parse_model("meta-llama/Llama-3-8b-instruct"), runtime=parse_runtime("vllm@0.32.0"),
    resources=Resources(gpu=2, gpu_type="NVIDIA-H100-80GB-HBM3", cpu=7.5), replicas=3, env=("DB_PASSWORD",),
    node_selector={"pool": "gpu"}, tolerations=({"key": "team", "operator": "Equal", "value": "a"},),
    autoscale=Autoscale(min=1, max=9, target=8),
)  # fmt: skip
RICH_SITE = Site(
    cache=Cache(kind=CacheKind.CLAIM, name="models"), hub_token="hub", env="own-secrets", runtime_class="nvidia",
    priority_class="serving", image_pull_secrets=("registry",), monitoring_namespace="monitoring",
)  # fmt: skip
RICH = Features(has_pod_monitor=True, has_autoscale_metric=True)
MODEL_BYTES = 16 << 30


def deployment_of(spec: DeploymentSpec = SPEC, *, identity: str = "0190-abcdef12", generation: int = 1) -> Deployment:
    """A deployment that nobody has looked at."""
    return Deployment(
        id=DeploymentId(identity), spec=spec, generation=generation, observed=Observed(), created_at="", updated_at=""
    )


def made(
    spec: DeploymentSpec = SPEC,
    *,
    site: Site | None = None,
    features: Features | None = None,
    size: int | None = 1 << 20,
) -> DeploymentObjects:
    """Its objects."""
    return objects_of(deployment_of(spec), site=site or Site(), features=features or Features(), model_bytes=size)


def of_kind(objects: DeploymentObjects, kind: str) -> dict[str, Any]:
    """The one object of that kind."""
    (found,) = [value for value in objects.all if value["kind"] == kind]
    return found


def pod_of(objects: DeploymentObjects) -> dict[str, Any]:
    """The spec of its pods."""
    spec: dict[str, Any] = objects.workload["spec"]["template"]["spec"]
    return spec
