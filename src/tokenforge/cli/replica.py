"""What runs in a pod: `replica prepare` fetches the model, `replica serve` becomes its worker."""

import os
import socket
import sys
import tempfile
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.worker import Group, ReplicaSpec, RuntimeSpec, WorkerSpec
from tokenforge.models.resolve import resolve_model
from tokenforge.protocol.worker_spec import replica_spec_from_json, worker_spec_to_json
from tokenforge.runtimes.registry import find_plug, require_quant
from tokenforge.settings import Settings, read_settings


def prepare(text: str) -> int:
    """Find, fetch or make the model. Raises NotFound, InvalidInput, StoreFailed, each with what to do."""
    settings = read_settings()
    spec = replica_spec_from_json(text)
    require_quant(find_plug(spec.runtime.name), spec.quant, spec.accelerator)
    model = resolve_model(spec.model, home=settings.home, offline=settings.hub_offline)
    print(f"{spec.model} is in {model.folder}", file=sys.stderr)
    return 0


def serve(text: str) -> int:
    """Become the worker of a model that is there; this process is its process, so signals reach it."""
    settings = read_settings()
    spec = replica_spec_from_json(text)
    worker = worker_spec_of(spec, settings, name=socket.gethostname())
    place = Path(tempfile.mkdtemp(prefix="tokenforge-")) / "worker.json"
    place.touch(mode=0o600)
    place.write_text(worker_spec_to_json(worker), encoding="utf-8")
    recipe = find_plug(spec.runtime.name).recipe(spec.runtime.version, spec.accelerator)
    command = [sys.executable, "-P", "-m", "tokenforge.worker", str(place)]
    os.execve(sys.executable, command, {**recipe.process_env, **settings.child_env})


def follow(text: str) -> int:
    """Be one of the pods of an engine that the group's first pod leads, until it ends: then the group begins anew."""
    settings = read_settings()
    spec = replica_spec_from_json(text)
    plug = find_plug(spec.runtime.name)
    if plug.follow is None:
        fault = Fault(field="runtime", value=spec.runtime.name, message="runs on one node", hint="take vllm")
        raise InvalidInput([fault], source="replica spec")
    recipe = plug.recipe(spec.runtime.version, spec.accelerator)
    os.environ.update({name: value for name, value in recipe.process_env.items() if name not in os.environ})
    plug.follow(worker_spec_of(spec, settings, name=socket.gethostname()).runtime)
    print("the engine that this pod was a part of has ended", file=sys.stderr)
    return 1


def worker_spec_of(spec: ReplicaSpec, settings: Settings, *, name: str) -> WorkerSpec:
    """The worker's own spec, its model found on this machine. Raises NotFound where it is not there."""
    model = resolve_model(spec.model, home=settings.home, offline=True)
    runtime = RuntimeSpec(
        runtime=spec.runtime.name,
        model_path=str(model.folder),
        served_name=str(spec.model),
        accelerator=spec.accelerator,
        max_model_len=spec.max_model_len,
        quant=spec.quant,
        tensor_parallel=spec.tensor_parallel,
        engine_args=spec.engine_args,
        group=_group(spec, settings),
    )
    return WorkerSpec(
        name=name, runtime=runtime, host=spec.host, port=spec.port, max_waiting=spec.max_waiting, drain_s=spec.drain_s
    )


def _group(spec: ReplicaSpec, settings: Settings) -> Group | None:
    """Which pod of which group this is. Raises InvalidInput where nobody said so though there should be several."""
    if spec.nodes == 1:
        return None
    if settings.group is None:
        hint = "such a pod is one of a LeaderWorkerSet, whose controller sets them"
        name = "LWS_LEADER_ADDRESS and LWS_WORKER_INDEX"
        fault = Fault(field=name, value=None, message="do not say which pod of the group this is", hint=hint)
        raise InvalidInput([fault], source="environment")
    rank, leader = settings.group
    return Group(nodes=spec.nodes, rank=rank, leader=leader, pipeline_parallel=spec.pipeline_parallel)
