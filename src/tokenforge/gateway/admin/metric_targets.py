"""`/metrics/targets`: where Prometheus finds every page of metrics of this platform (its HTTP service discovery)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from tokenforge.domain.api_key import READ
from tokenforge.domain.deployment import Deployment
from tokenforge.gateway.admin.operation import Operation, json_answer
from tokenforge.store.base import Deployments
from tokenforge.telemetry.targets import MetricsTarget, TargetFiles, discovery

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?")
TARGETS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["targets", "labels"],
        "properties": {
            "targets": {"type": "array", "items": {"type": "string"}, "description": "HOST:PORT"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRoutes:
    """Workers are known from the store, control and load generators from the files they wrote."""

    deployments: Deployments
    files: TargetFiles

    def operations(self) -> tuple[Operation, ...]:
        """The one."""
        return (
            Operation(
                method="GET", path="/metrics/targets", summary="Pages of metrics: Prometheus' HTTP discovery",
                handle=self.targets, needs=READ, answers={200: TARGETS},
            ),
        )  # fmt: skip

    async def targets(self, request: Request) -> Response:
        """All that can be asked now. Gateways that share a port say each where its own page is; else it is this one."""
        found = [*_workers(await self.deployments.list()), *self.files.living()]
        host = request.headers.get("host", "")
        has_own = any(target.labels.get("process") == "gateway" for target in found)
        if not has_own and _ADDRESS.fullmatch(host):
            found.insert(0, MetricsTarget(address=host, labels={"process": "gateway"}))
        return json_answer(discovery(found))


def _workers(deployments: Sequence[Deployment]) -> Iterator[MetricsTarget]:
    for deployment in deployments:
        for replica in deployment.observed.replicas:
            if replica.url:
                labels = {
                    "process": "worker",
                    "deployment": deployment.spec.name,
                    "model": str(deployment.spec.model),
                    "runtime": str(deployment.spec.runtime),
                    "replica": replica.id,
                }
                yield MetricsTarget(address=urlsplit(replica.url).netloc, labels=labels)
