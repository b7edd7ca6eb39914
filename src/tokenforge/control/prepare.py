"""Make ready what a worker needs before it can be launched: the model, the room for it, the runtime's environment.

It may take minutes (a download, an installation), so it runs in a thread and tells its steps. The quick checks come
first: a folder without weights or a model too large is told within moments, not after an installation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.control.cards import ENGINE_SHARE, CardsAsked
from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.errors import NotEnoughGpus, NotEnoughMemory, NotFound
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.resolve import ModelFacts, describe_model, resolve_model
from tokenforge.runtimes.base import RuntimePlug
from tokenforge.runtimes.environments import ensure_environment
from tokenforge.runtimes.registry import find_plug, require_quant

_BYTES_PER_PARAMETER: Mapping[Quant, float] = {
    Quant.FP32: 4.0, Quant.BF16: 2.0, Quant.FP16: 2.0, Quant.FP8: 1.0, Quant.INT8: 1.0, Quant.INT4: 0.5,
    Quant.AWQ: 0.5, Quant.GPTQ: 0.5,
}  # fmt: skip
_LIGHT_BYTES = 128 << 20
_ENGINE_BYTES = 1 << 30
"""A worker without an engine's libraries, and what the libraries of one take, as seen with torch on a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where workers run: what is kept where, what the process was told, how much memory engines may fill.

    `memory_bytes` is the memory in which weights are held: the host's on CPU, the devices' on CUDA; None is unknown.
    """

    home: Path
    find_links: Sequence[str]
    extra_indexes: Sequence[str]
    base_env: Mapping[str, str]
    hub_offline: bool
    accelerator: Accelerator
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that a launch needs but a name.

    `host_bytes`: about how much of the host's memory one worker will fill; `cards`: the GPUs it asks, None for none.
    """

    runtime: RuntimeSpec
    python: Path
    process_env: Mapping[str, str]
    host_bytes: float = _LIGHT_BYTES
    cards: CardsAsked | None = None


def prepare(spec: DeploymentSpec, *, machine: Machine, tell: Callable[[str], None]) -> Prepared:
    """Do it.

    Raises the step's own error: NotFound, NotEnoughGpus, NotEnoughMemory, InvalidInput, EnvironmentFailed, StoreFailed.
    """
    plug = find_plug(spec.runtime.name)
    recipe = plug.recipe(spec.runtime.version, machine.accelerator)
    require_quant(plug, spec.quant, machine.accelerator)
    cards = cards_asked(spec, plug, accelerator=machine.accelerator, is_engine=bool(recipe.requirements))
    host_bytes = float(_LIGHT_BYTES)
    if recipe.requirements:  # an engine of its own, so it loads the weights
        tell("checking that the model fits")
        facts = describe_model(spec.model, home=machine.home, offline=machine.hub_offline)
        require_room(facts, spec, machine)
        is_on_host = machine.accelerator is Accelerator.CPU
        host_bytes = _ENGINE_BYTES + (_weights_bytes(facts, spec) if is_on_host else 0.0)
    tell("finding the model")
    folder = _folder(spec, machine, is_elsewhere=plug.is_elsewhere(spec.engine_args))
    tell("finding the environment")
    environment = ensure_environment(
        recipe,
        runtime=spec.runtime.name,
        home=machine.home,
        find_links=machine.find_links,
        extra_indexes=machine.extra_indexes,
        accelerator=machine.accelerator,
        base_env=machine.base_env,
        on_progress=tell,
    )
    runtime = RuntimeSpec(
        runtime=spec.runtime.name,
        model_path=str(folder),
        served_name=str(spec.model),
        accelerator=machine.accelerator,
        max_model_len=spec.max_model_len,
        quant=spec.quant,
        tensor_parallel=spec.tensor_parallel or max(1, spec.resources.gpu),
        engine_args=spec.engine_args,
    )
    process_env = {**machine.base_env, **environment.process_env}
    return Prepared(
        runtime=runtime, python=environment.python, process_env=process_env, host_bytes=host_bytes, cards=cards
    )


def cards_asked(
    spec: DeploymentSpec, plug: RuntimePlug, *, accelerator: Accelerator, is_engine: bool
) -> CardsAsked | None:
    """The GPUs of each replica, None for none; on a machine with GPUs an engine takes one at least.

    An engine asks for a share of one where `resources.gpu` is not said and its own argument says how much memory it
    takes. Raises NotEnoughGpus for a machine without GPUs.
    """
    said = spec.resources.gpu
    if accelerator is Accelerator.CPU:
        if said == 0:
            return None
        hint = "Leave resources.gpu out: engines run on the CPU here"
        raise NotEnoughGpus(f"resources.gpu = {said}: this machine has no GPU", hint=hint)
    if said == 0 and not is_engine:
        return None
    share = _share(spec.engine_args.get(plug.share_arg))
    count = max(said, 1, (spec.tensor_parallel or 1) if is_engine else 1)
    return CardsAsked(
        count=count,
        share=ENGINE_SHARE if share is None else share,
        is_whole=said > 0 or count > 1 or share is None,
        kind=spec.resources.gpu_type,
    )


def _share(value: object) -> float | None:
    """A share of memory as an engine takes it; what is none the engine refuses by itself."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if isinstance(value, int | float) and is_number and 0 < value <= 1 else None


def _folder(spec: DeploymentSpec, machine: Machine, *, is_elsewhere: bool) -> Path:
    """The model's folder; of a model that is elsewhere what is here already, else one that holds nothing."""
    try:
        offline = machine.hub_offline or is_elsewhere
        return resolve_model(spec.model, home=machine.home, offline=offline).folder
    except NotFound:
        if not is_elsewhere:
            raise
        return machine.home / "elsewhere"


def require_room(facts: ModelFacts, spec: DeploymentSpec, machine: Machine) -> None:
    """Raise NotEnoughMemory, with both numbers, when the weights alone do not fit."""
    need = _weights_bytes(facts, spec)
    limits = [limit for limit in (machine.memory_bytes, spec.resources.memory_bytes) if limit is not None]
    if limits and need > min(limits):
        room = min(limits)
        message = f"the weights of {facts.model} take {_gib(need)} GiB, there are {_gib(room)} GiB"
        hint = "Take a smaller model, a smaller quant, or a machine with more memory"
        raise NotEnoughMemory(message, hint=hint)


def require_free(prepared: Prepared, *, free_bytes: float, coming: int) -> None:
    """Raise NotEnoughMemory when one more worker would fill the host, those counted that are `coming` up."""
    need = prepared.host_bytes * (1 + coming)
    if need > free_bytes:
        others = f" beside {coming} that are coming up" if coming else ""
        message = f"a worker takes about {_gib(prepared.host_bytes)} GiB{others}, {_gib(free_bytes)} GiB are free"
        raise NotEnoughMemory(message, hint="Delete a deployment or lower its replicas; this is tried again")


def _weights_bytes(facts: ModelFacts, spec: DeploymentSpec) -> float:
    per_parameter = None if spec.quant is None else _BYTES_PER_PARAMETER[spec.quant]
    return facts.weights_bytes if per_parameter is None else facts.parameters * per_parameter


def _gib(size_bytes: float) -> str:
    """With as many digits as tell it from nothing."""
    gib = size_bytes / 2**30
    return f"{gib:.1f}" if gib >= 1 else f"{gib:.2g}"
