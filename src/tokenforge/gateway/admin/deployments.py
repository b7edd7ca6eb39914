"""`/deploy` and `/deployments`: ask for a promise, look at it, change it, end it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tokenforge.domain.api_key import READ
from tokenforge.domain.deployment import DeploymentId, DeploymentSpec
from tokenforge.domain.errors import NotFound
from tokenforge.domain.placement import Placement
from tokenforge.gateway.admin import events
from tokenforge.gateway.admin.idempotency import PARAMETER as IDEMPOTENCY
from tokenforge.gateway.admin.idempotency import idempotency_key
from tokenforge.gateway.admin.operation import (
    Operation,
    Parameter,
    body_bytes,
    json_answer,
    json_body,
    whole_number,
)
from tokenforge.gateway.admin.schemas import DEPLOYMENT, DEPLOYMENTS
from tokenforge.protocol.deploy import CheckArgs, ClusterOffer, Quants, any_args, parse_deploy, parse_patch
from tokenforge.protocol.deploy_body import DeployBody, PatchBody
from tokenforge.protocol.deployment_answer import deployment_answer
from tokenforge.protocol.openai_fields import read_whole_text
from tokenforge.protocol.replica_rules import require_room
from tokenforge.store.base import Deployments, Events

ReadLog = Callable[[str, int], tuple[str, ...]]
"""The final lines (at most so many) of a replica's log."""

_MAX_LINES = 10_000
_LINES = Parameter(
    name="lines",
    place="query",
    schema={"type": "integer", "minimum": 1, "maximum": _MAX_LINES, "default": 200},
    text="how many lines of each replica, the newest",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRoutes:
    """The handlers. `new_id` makes an id; `quants` knows what runtimes can load here.

    `most_replicas`: what all deployments of this machine may have together.
    """

    deployments: Deployments
    events: Events
    new_id: Callable[[], str]
    quants: Quants
    most_replicas: int
    read_log: ReadLog
    check_args: CheckArgs = any_args
    cluster: ClusterOffer | None = None

    def operations(self) -> tuple[Operation, ...]:
        """What is offered."""
        one = "/deployments/{id}"
        return (
            Operation(
                method="POST", path="/deploy", summary="Deploy a model on a runtime", handle=self.deploy,
                body=DeployBody, answers={202: DEPLOYMENT}, problems=(400, 409, 413, 422), parameters=(IDEMPOTENCY,),
            ),
            Operation(
                method="GET", path="/deployments", summary="All deployments", handle=self.list, needs=READ,
                answers={200: DEPLOYMENTS},
            ),
            Operation(
                method="GET", path=one, summary="One deployment", handle=self.get, needs=READ,
                answers={200: DEPLOYMENT}, problems=(404,),
            ),
            Operation(
                method="PATCH", path=one, summary="Change a deployment", handle=self.patch, body=PatchBody,
                answers={202: DEPLOYMENT}, problems=(400, 404, 413),
            ),
            Operation(
                method="DELETE", path=one, summary="End a deployment", handle=self.delete,
                answers={202: DEPLOYMENT}, problems=(404,),
            ),
            Operation(
                method="GET", path=f"{one}/events", summary="What happens to a deployment", handle=self.follow,
                answers={200: "text/event-stream"}, problems=(400, 404), parameters=events.PARAMETERS,
            ),
            Operation(
                method="GET", path=f"{one}/logs", summary="The logs of its replicas", handle=self.logs,
                answers={200: "text/plain"}, problems=(400, 404), parameters=(_LINES,),
            ),
        )  # fmt: skip

    async def deploy(self, request: Request) -> Response:
        """202 with the Deployment, new or not."""
        body = await body_bytes(request)
        data = read_whole_text(body)
        spec = parse_deploy(
            data, quants=self.quants, most_replicas=self.most_replicas, check_args=self.check_args, cluster=self.cluster
        )
        made, is_new = await self.deployments.create(
            spec,
            identity=DeploymentId(self.new_id()),
            idempotency=idempotency_key(request, body),
            is_name_chosen=data.get("name") is not None,
            admit=self._admit,
        )
        if is_new:
            await self.events.append(made.id, reason="Requested", message=f"{spec.model} on {spec.runtime}")
        return json_answer(deployment_answer(made), status=202, headers={"location": f"/deployments/{made.id}"})

    def _admit(self, spec: DeploymentSpec, others: Sequence[DeploymentSpec]) -> None:
        require_room(spec, others, most=self.most_replicas)

    async def list(self, request: Request) -> Response:
        """All of them."""
        del request
        return json_answer({"deployments": [deployment_answer(d) for d in await self.deployments.list()]})

    async def get(self, request: Request) -> Response:
        """One of them, by id or name."""
        return json_answer(deployment_answer(await self.deployments.get(await self._id(request))))

    async def patch(self, request: Request) -> Response:
        """A changed spec is a new generation."""
        data = await json_body(request)
        identity = await self._id(request)
        made = await self.deployments.change(
            identity,
            lambda spec: parse_patch(
                data,
                spec,
                quants=self.quants,
                most_replicas=self.most_replicas,
                check_args=self.check_args,
                cluster=self.cluster,
            ),
            admit=self._admit,
        )
        await self.events.append(made.id, reason="Changed", message=f"generation {made.generation} is wanted")
        return json_answer(deployment_answer(made), status=202)

    async def delete(self, request: Request) -> Response:
        """It ends once its workers have drained."""
        made = await self.deployments.delete(await self._id(request))
        await self.events.append(made.id, reason="Deleting", message="its workers drain and end")
        return json_answer(deployment_answer(made), status=202)

    async def follow(self, request: Request) -> Response:
        """Events until the deployment is gone."""
        identity = await self._id(request)

        async def is_over() -> bool:
            try:
                await self.deployments.get(identity)
            except NotFound:
                return True
            return False

        return events.events_answer(request, self.events, identity, is_over=is_over)

    async def logs(self, request: Request) -> Response:
        """The final lines of every replica's log; those of the last one that failed where none runs."""
        lines = whole_number(request, "lines", default=200, low=1, high=_MAX_LINES)
        deployment = await self.deployments.get(await self._id(request))
        parts = []
        for replica in deployment.observed.replicas:
            parts.append(f"==> {replica.id} ({replica.phase}) <==")
            if deployment.spec.target is Placement.KUBERNETES:
                parts.append(f"the cluster has its log: kubectl logs {replica.id} --container worker")
            else:
                parts.extend(self.read_log(replica.id, lines))
        if not parts:
            for condition in deployment.observed.conditions:
                parts.extend((f"==> {condition.type}: {condition.message} <==", *condition.last_words))
        return Response("\n".join(parts) + "\n", media_type="text/plain; charset=utf-8")

    async def _id(self, request: Request) -> DeploymentId:
        """The path's id, or the id of the deployment of that name."""
        asked = str(request.path_params["id"])
        for deployment in await self.deployments.list():
            if asked in (deployment.id, deployment.spec.name):
                return deployment.id
        raise NotFound(f"there is no deployment {asked[:80]!r}", hint="GET /deployments lists them")
