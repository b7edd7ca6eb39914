"""What runs in a pod: `replica prepare` fetches the model, `replica serve` becomes its worker."""

import os
import socket
import sys
import tempfile
from pathlib import Path

from tokenforge.domain.worker import ReplicaSpec, RuntimeSpec, WorkerSpec
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
    )
    return WorkerSpec(
        name=name, runtime=runtime, host=spec.host, port=spec.port, max_waiting=spec.max_waiting, drain_s=spec.drain_s
    )
