"""Read `POST /deploy` and `PATCH /deployments/{id}` into the domain's words; every fault is found before any is told.

What a runtime can load is the registry's to know: it comes in as `quants`, so nothing here looks a runtime up.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import Autoscale, DeploymentSpec, Routing
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import ModelRef, ModelSource, parse_model
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Quant, RuntimeRef, parse_runtime
from tokenforge.protocol.benchmark_body import ResourcesBody
from tokenforge.protocol.benchmark_words import schema_faults
from tokenforge.protocol.deploy_body import MOST_REPLICAS, AutoscaleBody, DeployBody, PatchBody
from tokenforge.protocol.replica_rules import autoscale_faults, first_replicas, replica_faults

SOURCE = "request body"
Quants = Callable[[RuntimeRef], frozenset[Quant]]
"""What a runtime can load here. Raises InvalidInput (field `runtime`) when there is no such runtime."""

CheckArgs = Callable[[RuntimeRef, Mapping[str, object]], None]
"""Raises InvalidInput for engine arguments that a runtime cannot use, as far as that is known without its engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOffer:
    """What a cluster takes: `quants` of a runtime with or without GPUs; `faults`: what of a spec cannot be there."""

    quants: Callable[[RuntimeRef, bool], frozenset[Quant]]
    faults: Callable[[DeploymentSpec], Sequence[Fault]]
    most_replicas: int = MOST_REPLICAS


_DEFAULTS: Mapping[str, object] = {
    "replicas": 1, "resources": Resources(), "engine_args": {}, "quant": None, "max_model_len": None,
    "autoscale": None, "routing": Routing.PREFIX, "revision": None,
}  # fmt: skip


def any_args(runtime: RuntimeRef, args: Mapping[str, object]) -> None:
    """A check that leaves the engine arguments to the engine."""


def parse_deploy(
    data: Mapping[str, object],
    *,
    quants: Quants,
    most_replicas: int,
    check_args: CheckArgs = any_args,
    cluster: ClusterOffer | None = None,
) -> DeploymentSpec:
    """The spec that `data` describes; without a name it gets one of model and runtime. Raises InvalidInput.

    `most_replicas` is what one deployment may have here: each is a process that loads its model. Without a `cluster`
    `target: kubernetes` is refused.
    """
    there = cluster if data.get("target") == Placement.KUBERNETES else None
    if there is not None:
        quants, most_replicas = _quants_there(there, has_gpu=_has_gpu(data)), there.most_replicas
    faults: list[Fault] = []
    body: DeployBody | None = None
    try:
        body = DeployBody.model_validate(data)
    except ValidationError as error:
        faults.extend(schema_faults(error, root=DeployBody))
    told = {fault.field for fault in faults}
    model = _model(data, told, faults)
    runtime = _runtime(data, told, faults)
    if runtime is not None:
        faults.extend(_quant_faults(runtime, _quant(data), quants))
        faults.extend(_args_faults(runtime, data.get("engine_args", {}), check_args))
    if data.get("target") == Placement.KUBERNETES and there is None:
        faults.append(_not_here(Placement.KUBERNETES))
    if "replicas" not in told:
        faults.extend(replica_faults(data.get("replicas"), most_replicas))
    if body is not None:
        said = body.replicas if "replicas" in body.model_fields_set else None
        faults.extend(autoscale_faults(body.autoscale, replicas=said, most=most_replicas))
    spec = None if body is None or model is None or runtime is None else _spec(body, model=model, runtime=runtime)
    if spec is not None and there is not None:
        faults.extend(there.faults(spec))
    if spec is None or faults:
        raise InvalidInput(faults, source=SOURCE)
    return spec


def parse_patch(
    data: Mapping[str, object],
    spec: DeploymentSpec,
    *,
    quants: Quants,
    most_replicas: int,
    check_args: CheckArgs = any_args,
    cluster: ClusterOffer | None = None,
) -> DeploymentSpec:
    """`spec` with the changes that `data` asks for; null gives a field its default back.

    Raises InvalidInput, also for a body without any field.
    """
    try:
        body = PatchBody.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(schema_faults(error, root=PatchBody), source=SOURCE) from error
    given = body.model_fields_set
    if not given:
        hint = f"give at least one of {', '.join(PatchBody.model_fields)}"
        raise InvalidInput([Fault(field="body", value="{}", message="changes nothing", hint=hint)], source=SOURCE)
    made = replace(spec, **_changed(body, given))
    made = replace(made, replicas=first_replicas(body.autoscale, made.replicas))
    there = cluster if spec.target is Placement.KUBERNETES else None
    if there is not None:
        quants, most_replicas = _quants_there(there, has_gpu=made.resources.gpu > 0), there.most_replicas
    faults = [
        *_quant_faults(spec.runtime, made.quant, quants),
        *replica_faults(body.replicas, most_replicas),
        *autoscale_faults(body.autoscale, replicas=body.replicas, most=most_replicas),
        *_set_by_autoscale(body, made),
        *_args_faults(spec.runtime, body.engine_args or {}, check_args),
        *(() if there is None else there.faults(made)),
    ]
    if faults:
        raise InvalidInput(faults, source=SOURCE)
    return made


def _changed(body: PatchBody, given: AbstractSet[str]) -> dict[str, Any]:
    """The fields of the spec that change; what was given as null has its default."""
    changed: dict[str, Any] = {name: getattr(body, name) for name in given}
    for name in [name for name, value in changed.items() if value is None]:
        changed[name] = _DEFAULTS[name]
    if body.resources is not None:
        changed["resources"] = _resources(body.resources)
    if body.autoscale is not None:
        changed["autoscale"] = _autoscale(body.autoscale)
    return changed


def _set_by_autoscale(body: PatchBody, made: DeploymentSpec) -> list[Fault]:
    """A number of replicas for a deployment that has its number from demand."""
    if body.replicas is None or made.autoscale is None or body.autoscale is not None:
        return []
    hint = "change autoscale.min and autoscale.max, or write autoscale: null beside it"
    return [Fault(field="replicas", value=body.replicas, message="is set by autoscale", hint=hint)]


def default_name(model: ModelRef, runtime: RuntimeRef) -> str:
    """A name that says what it is: `tiny-vllm`. It fits where a host name fits, with room for a number behind it."""
    last = model.name.rstrip("/").rpartition("/")[2]
    text = re.sub(r"[^a-z0-9]+", "-", f"{last}-{runtime}".lower()).strip("-")
    return text[:55].strip("-") or "deployment"


def _spec(body: DeployBody, *, model: ModelRef, runtime: RuntimeRef) -> DeploymentSpec:
    return DeploymentSpec(
        name=body.name or default_name(model, runtime),
        model=model,
        runtime=runtime,
        quant=body.quant,
        replicas=first_replicas(body.autoscale, body.replicas),
        target=body.target,
        resources=_resources(body.resources),
        max_model_len=body.max_model_len,
        tensor_parallel=body.tensor_parallel,
        engine_args=body.engine_args,
        autoscale=None if body.autoscale is None else _autoscale(body.autoscale),
        routing=body.routing,
        node_selector=body.node_selector,
        tolerations=tuple(body.tolerations),
        env=tuple(body.env),
        revision=body.revision,
    )


def _model(data: Mapping[str, object], told: set[str], faults: list[Fault]) -> ModelRef | None:
    text = data.get("model")
    if "model" in told or not isinstance(text, str):
        return None
    try:
        model = parse_model(text)
    except InvalidInput as error:
        faults.extend(error.faults)
        return None
    if model.source is ModelSource.FOLDER and not model.name.startswith(("/", "~")):
        hint = "write the whole path: the server does not share your folder"
        faults.append(Fault(field="model", value=text, message="is a relative path", hint=hint))
    return model


def _runtime(data: Mapping[str, object], told: set[str], faults: list[Fault]) -> RuntimeRef | None:
    text = data.get("runtime")
    if "runtime" in told or not isinstance(text, str):
        return None
    try:
        return parse_runtime(text)
    except InvalidInput as error:
        faults.extend(error.faults)
        return None


def _quant_faults(runtime: RuntimeRef, quant: Quant | None, quants: Quants) -> list[Fault]:
    try:
        can = quants(runtime)
    except InvalidInput as error:
        return list(error.faults)
    if quant is None or quant in can:
        return []
    hint = f"here it can load: {', '.join(sorted(can)) or 'nothing'}"
    return [Fault(field="quant", value=str(quant), message=f"{runtime.name} can't load it", hint=hint)]


def _quants_there(cluster: ClusterOffer, *, has_gpu: bool) -> Quants:
    return lambda runtime: cluster.quants(runtime, has_gpu)


def _has_gpu(data: Mapping[str, object]) -> bool:
    """Whether a body that may have faults asks for GPUs."""
    resources = data.get("resources")
    gpu = resources.get("gpu", 0) if isinstance(resources, Mapping) else 0
    return isinstance(gpu, int) and gpu > 0


def _quant(data: Mapping[str, object]) -> Quant | None:
    """The quant of a body that may have other faults; None where it names none that there is."""
    said = data.get("quant")
    return Quant(said) if isinstance(said, str) and said in set(Quant) else None


def _args_faults(runtime: RuntimeRef, args: object, check_args: CheckArgs) -> list[Fault]:
    """What the runtime objects to, by the paths of this body: `engine_args.NAME`, not `engine_args.sim.NAME`."""
    if not isinstance(args, Mapping):
        return []
    try:
        check_args(runtime, args)
    except InvalidInput as error:
        own = f"engine_args.{runtime.name}"  # whether there is such a runtime is told once, by its own field
        told = [fault for fault in error.faults if fault.field.startswith(own)]
        return [replace(fault, field="engine_args" + fault.field.removeprefix(own)) for fault in told]
    return []


def _not_here(target: Placement) -> Fault:
    return Fault(field="target", value=str(target), message="is not offered by this server", hint="write local")


def _resources(body: ResourcesBody) -> Resources:
    return Resources(gpu=body.gpu, gpu_type=body.gpu_type, cpu=body.cpu, memory_bytes=body.memory)


def _autoscale(body: AutoscaleBody) -> Autoscale:
    return Autoscale(
        min=body.min, max=body.max, target=body.target, ttft_ms=body.ttft_ms, down_after_s=body.down_after_s,
        idle_s=body.idle_s,
    )  # fmt: skip
