"""What is said of a cluster without asking it: its site from a file, what it takes, how large a model is."""

from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tokenforge.cluster.manifests.objects import faults_of
from tokenforge.cluster.manifests.site import Site, read_site
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.errors import Fault, InvalidInput, NotFound, StoreFailed
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Accelerator, Quant, RuntimeRef
from tokenforge.models.resolve import describe_model
from tokenforge.protocol.deploy import ClusterOffer
from tokenforge.runtimes.registry import find_plug
from tokenforge.settings import Settings
from tokenforge.store.blobs.location import Bucket, read_location


def site_of(file: Path) -> Site:
    """The site that the file describes. Raises InvalidInput."""
    try:
        value = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        cause = " ".join(str(error).split())
        hint = "write the settings of the cluster as YAML (docs/how-to/kubernetes.md)"
        raise InvalidInput([Fault(field="file", value=str(file), message=cause, hint=hint)], source="site") from error
    return read_site({} if value is None else value, source=f"site {file}")


def cluster_offer(site: Site) -> ClusterOffer:
    """What that cluster takes."""
    return ClusterOffer(quants=_quants, faults=lambda spec: faults_of(spec, site))


def require_cluster(settings: Settings, benchmark: Benchmark) -> None:
    """Raises InvalidInput for a benchmark on a cluster where none is set, or no store that its pods reach."""
    if benchmark.target is not Placement.KUBERNETES:
        return
    if settings.kubernetes is None:
        hint = "leave it out, or start the platform with TOKENFORGE_KUBERNETES=site.yaml"
        fault = Fault(field="target", value="kubernetes", message="is not offered here", hint=hint)
        raise InvalidInput([fault], source="benchmark")
    url = settings.artifacts_url
    if url is None or not isinstance(read_location(url, env=settings.s3_env), Bucket):
        hint = "set TOKENFORGE_ARTIFACTS_URL=s3://BUCKET/PREFIX?endpoint=...: pods bring their records there"
        fault = Fault(field="target", value="kubernetes", message="needs an S3 store for results", hint=hint)
        raise InvalidInput([fault], source="benchmark")


def model_bytes(settings: Settings) -> Callable[[DeploymentSpec], int | None]:
    """How large the weights of a deployment's model are; None where that cannot be known here."""

    def of(spec: DeploymentSpec) -> int | None:
        try:
            return describe_model(spec.model, home=settings.home, offline=settings.hub_offline).weights_bytes
        except (NotFound, StoreFailed):
            return None

    return of


def _quants(runtime: RuntimeRef, has_gpu: bool) -> frozenset[Quant]:
    accelerator = Accelerator.CUDA if has_gpu else Accelerator.CPU
    plug = find_plug(runtime.name)
    plug.recipe(runtime.version, accelerator)
    return plug.quants.get(accelerator, frozenset())
