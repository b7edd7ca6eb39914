"""Targets: what load is offered to. A worker started here for a runtime, or a server that already runs at a URL."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tokenforge.bench.driver.offer import Offer, offer
from tokenforge.bench.observe import Observer
from tokenforge.bench.probe import base_url, probe_server
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.cluster.base import Cluster, Launch, Worker
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import ModelRef
from tokenforge.domain.observing import Observing
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.runtime import Accelerator, RuntimeRef
from tokenforge.domain.worker import RuntimeSpec, WorkerSpec
from tokenforge.models.resolve import ResolvedModel, resolve_model
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.environments import Environment, ensure_environment
from tokenforge.runtimes.registry import find_plug, require_quant

START_LIMIT_S = 900.0
_MAX_WAITING = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What preparing needs from outside: where things are kept, what the process was told, where workers run.

    `attached` are servers that already run, by model and runtime as the benchmark names them;
    `attached_headers` go along with each request to them. `offer` offers trials, from `most_drivers` at most, None: as
    many as this machine has cores.
    """

    home: Path
    find_links: Sequence[str]
    extra_indexes: Sequence[str]
    base_env: Mapping[str, str]
    hub_offline: bool
    accelerator: Accelerator
    cluster: Cluster
    observer: Observer
    attached: Mapping[tuple[str, str], str] = field(default_factory=dict)
    attached_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    observing: Observing = field(default_factory=Observing)
    offer: Offer = offer
    most_drivers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server ready for load.

    `engine` is its RuntimeInfo as JSON (None for a URL that says nothing); `packages` the versions in its environment;
    `worker` is set when we started it and must watch and stop it; `start_s` how long the start took.
    """

    model: str
    served_name: str
    runtime: str
    url: str
    window: int | None
    tokenizer: PromptTokenizer | None
    form: PromptForm
    exact_output: bool
    continuous_usage: bool
    engine: Mapping[str, object] | None
    headers: Mapping[str, str]
    packages: Mapping[str, str]
    worker: Worker | None = None
    start_s: float | None = None


async def start_target(model: ResolvedModel, runtime: RuntimeRef, benchmark: Benchmark, *, kit: Kit) -> Target:
    """Make the environment, start a worker in it, wait until it serves. Raises the step's own error, with the cause."""
    args = benchmark.engine_args.get(runtime.name, {})
    if (url := kit.attached.get((str(model.ref), str(runtime)))) is not None:
        return await _at(url, model, runtime, headers=kit.attached_headers)
    if runtime.name == "openai" and "command" not in args:
        return await _attach(model, args)
    environment = await asyncio.to_thread(prepare_environment, runtime, benchmark, kit)
    label = _label(runtime, environment)
    spec = _worker_spec(model, runtime, benchmark, kit=kit, name=f"{runtime.name}-{environment.version}")
    began = time.monotonic()
    launch = Launch(spec=spec, python=environment.python, process_env={**kit.base_env, **environment.process_env})
    worker = await kit.cluster.launch(launch)
    info = await worker.ready(timeout_s=START_LIMIT_S, on_phase=_phases(kit.observer, label))
    can = info.capabilities
    return Target(
        model=str(model.ref),
        served_name=spec.runtime.served_name,
        runtime=label,
        url=worker.url,
        window=info.max_model_len,
        tokenizer=load_tokenizer(model.folder),
        form=PromptForm.TOKEN_IDS if info.token_level else PromptForm.TEXT,
        exact_output=can.ignore_eos,
        continuous_usage=True,
        engine=to_plain_mapping(info),
        headers={},
        packages=environment.packages,
        worker=worker,
        start_s=time.monotonic() - began,
    )


def prepare_environment(runtime: RuntimeRef, benchmark: Benchmark, kit: Kit) -> Environment:
    """Check that the runtime can do what is asked, and make (or find) its environment."""
    plug = find_plug(runtime.name)
    require_quant(plug, benchmark.quant, kit.accelerator)
    return ensure_environment(
        plug.recipe(runtime.version, kit.accelerator),
        runtime=runtime.name,
        home=kit.home,
        find_links=kit.find_links,
        extra_indexes=kit.extra_indexes,
        accelerator=kit.accelerator,
        base_env=kit.base_env,
        on_progress=_phases(kit.observer, str(runtime)),
    )


def find_model(model: ModelRef, kit: Kit) -> ResolvedModel:
    """The model's folder and facts; synthetic ones are made the first time."""
    kit.observer.phase(str(model), "finding the model")
    return resolve_model(model, home=kit.home, offline=kit.hub_offline)


def url_target(
    url: str, *, model: str | None, runtime: str, headers: Mapping[str, str], tokenizer: PromptTokenizer | None
) -> Target:
    """A server that already runs. Raises TargetUnreachable, NotFound or InvalidInput (see `probe_server`)."""
    probe = probe_server(url, model=model, headers=headers)
    ids = probe.token_ids and tokenizer is not None
    return Target(
        model=probe.model,
        served_name=probe.model,
        runtime=runtime,
        url=base_url(url),
        window=probe.window,
        tokenizer=tokenizer,
        form=PromptForm.TOKEN_IDS if ids else PromptForm.TEXT,
        exact_output=probe.exact_output,
        continuous_usage=probe.continuous_usage,
        engine=probe.engine,
        headers=headers,
        packages={},
    )


def to_plain_mapping(value: object) -> Mapping[str, object]:
    """A dataclass as a JSON object."""
    plain = to_plain(value)
    assert isinstance(plain, dict)
    return plain


async def _at(url: str, model: ResolvedModel, runtime: RuntimeRef, *, headers: Mapping[str, str]) -> Target:
    """A server of ours that already runs this model on this runtime; its version is in the name, as it says itself."""
    tokenizer = await asyncio.to_thread(load_tokenizer, model.folder)
    target = await asyncio.to_thread(
        url_target, url, model=str(model.ref), runtime=str(runtime), headers=headers, tokenizer=tokenizer
    )
    version = (target.engine or {}).get("engine_version")
    return replace(target, runtime=f"{runtime.name}@{version}") if isinstance(version, str) else target


async def _attach(model: ResolvedModel, args: Mapping[str, object]) -> Target:
    url = args.get("base_url")
    if not isinstance(url, str):
        hint = "write engine_args: {openai: {base_url: http://HOST:PORT}}"
        raise InvalidInput([Fault(field="engine_args.openai.base_url", value=url, message="is needed", hint=hint)])
    name = args.get("model")
    key = args.get("api_key")
    return await asyncio.to_thread(
        url_target,
        url,
        model=name if isinstance(name, str) else None,
        runtime="openai",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        tokenizer=load_tokenizer(model.folder),
    )


def _worker_spec(model: ResolvedModel, runtime: RuntimeRef, benchmark: Benchmark, *, kit: Kit, name: str) -> WorkerSpec:
    spec = RuntimeSpec(
        runtime=runtime.name,
        model_path=str(model.folder),
        served_name=str(model.ref),
        accelerator=kit.accelerator,
        max_model_len=benchmark.max_model_len,
        quant=benchmark.quant,
        tensor_parallel=max(1, benchmark.resources.gpu),
        engine_args=benchmark.engine_args.get(runtime.name, {}),
    )
    return WorkerSpec(name=name, runtime=spec, max_waiting=_MAX_WAITING, observing=kit.observing)


def _label(runtime: RuntimeRef, environment: Environment) -> str:
    return runtime.name if not environment.version else f"{runtime.name}@{environment.version}"


def _phases(observer: Observer, subject: str) -> Callable[[str], None]:
    return lambda text: observer.phase(subject, text)
