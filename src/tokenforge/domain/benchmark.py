"""Benchmark: models x runtimes x workloads, so a set of Runs, each measured in trials."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tokenforge.domain.comparison import ComparisonSpec, Side
from tokenforge.domain.model import ModelRef
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Quant, RuntimeRef
from tokenforge.domain.secrets import HIDDEN, is_secret_name
from tokenforge.domain.workload import Workload


class Order(enum.StrEnum):
    """How trials of several runtimes follow each other.

    `interleaved` keeps every engine up and alternates them (ABBA), so a drifting machine hits all alike; `sequential`
    runs one engine at a time, where two do not fit side by side.
    """

    INTERLEAVED = "interleaved"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a deployment may use. `gpu` counts devices, `cpu` cores; `memory_bytes` is host memory."""

    gpu: int = 0
    gpu_type: str | None = None
    cpu: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """The resolved `benchmark.yaml`. `engine_args` go to the runtime of that name as they are.

    `target` is where its runtimes are deployed and its load comes from, where the benchmark deploys them.

    `comparison` is set by `compare` alone; its sides then say what is started, with which arguments.
    """

    models: tuple[ModelRef, ...]
    runtimes: tuple[RuntimeRef, ...]
    workloads: tuple[Workload, ...]
    seed: int = 0
    trials: int = 1
    order: Order = Order.INTERLEAVED
    quant: Quant | None = None
    max_model_len: int | None = None
    resources: Resources = Resources()
    engine_args: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    price_per_hour: float | None = None
    comparison: ComparisonSpec | None = None
    target: Placement = Placement.LOCAL


def without_secrets(benchmark: Benchmark) -> Benchmark:
    """The benchmark as it may be shown or recorded: text in engine arguments named like a secret is hidden."""
    spec = benchmark.comparison
    if spec is not None:
        spec = replace(spec, sides=tuple(_shown(side) for side in spec.sides))
    shown = {name: hide_secrets(args) for name, args in benchmark.engine_args.items()}
    return replace(benchmark, engine_args=shown, comparison=spec)


def without_userinfo(url: str) -> str:
    """The address without the user and password that it may begin with."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _shown(side: Side) -> Side:
    url = None if side.url is None else without_userinfo(side.url)
    return replace(side, url=url, engine_args=hide_secrets(side.engine_args))


def hide_secrets(args: Mapping[str, object]) -> dict[str, object]:
    """The same arguments, text named like a secret hidden, and what stands before the @ of an address."""
    return {name: _shown_text(name, value) if isinstance(value, str) else value for name, value in args.items()}


def _shown_text(name: str, text: str) -> str:
    if is_secret_name(name):
        return HIDDEN
    return without_userinfo(text) if "://" in text else text
