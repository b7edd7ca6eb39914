"""`manifests`: a deployment's objects as YAML, without a cluster: to read them, to keep them, to have them checked."""

import sys
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from tokenforge.cli.cluster_site import cluster_offer, model_bytes, site_of
from tokenforge.cli.show import print_json
from tokenforge.cluster.manifests.objects import DeploymentObjects, objects_of
from tokenforge.cluster.manifests.site import Features, Site
from tokenforge.domain.canonical import sha256_hex
from tokenforge.domain.deployment import Deployment, DeploymentId
from tokenforge.domain.deployment_state import Observed
from tokenforge.protocol.deploy import parse_deploy
from tokenforge.settings import Settings, read_settings


def run(body: Mapping[str, object], *, site: Path | None, as_json: bool) -> int:
    """Print them. Raises InvalidInput with every fault of the body."""
    settings = read_settings()
    objects = made_from(body, site=Site() if site is None else site_of(site), settings=settings).all
    if as_json:
        print_json({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return 0
    yaml = YAML()
    yaml.explicit_start = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    for value in objects:
        yaml.dump(value, sys.stdout)
    return 0


def made_from(body: Mapping[str, object], *, site: Site, settings: Settings) -> DeploymentObjects:
    """The objects of a deployment that nobody has made; its id is of its spec, so equal bodies give equal objects."""
    spec = parse_deploy(
        {**body, "target": "kubernetes"}, quants=lambda _: frozenset(), most_replicas=0, cluster=cluster_offer(site)
    )
    deployment = Deployment(
        id=DeploymentId(sha256_hex(spec)[:32]), spec=spec, generation=1, observed=Observed(), created_at="",
        updated_at="",
    )  # fmt: skip
    features = Features(has_leader_worker_set=True)  # no cluster is asked; what spans nodes can be read too
    return objects_of(deployment, site=site, features=features, model_bytes=model_bytes(settings)(spec))
