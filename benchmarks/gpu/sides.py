"""One side of the table: a runtime, its engine arguments, and the benchmark file that measures it."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

_GUESSED_RATE = {1: 1.2, 8: 9.0, 32: 22.0, 128: 42.0, 256: 48.0}
"""Requests a second (512 + 128 tokens of an 8B model) that a trial's length is reckoned with: about an H100's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What every side is offered: closed loops of `concurrency` clients, then Poisson arrivals at `rates` a second."""

    concurrency: Sequence[int]
    rates: Sequence[float] = ()
    prompt_len: int = 512
    gen_tokens: int = 128
    seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A runtime as it is compared. `concurrency` and `rates` are its own where they are not the whole table's.

    `slowness` divides its request counts; `waves` is how often every client of a closed loop asks at least; `trials`
    None: as many as the others have.
    """

    name: str
    runtime: str
    engine_args: Mapping[str, object] = field(default_factory=dict)
    concurrency: tuple[int, ...] | None = None
    rates: tuple[float, ...] | None = None
    slowness: float = 1.0
    waves: float = 1.5
    trials: int | None = None

    def benchmark(self, load: Load, *, model: str, trials: int, window: int, gpus: int = 1) -> str:
        """The benchmark file, as JSON (which is YAML)."""
        loops = load.concurrency if self.concurrency is None else self.concurrency
        rates = load.rates if self.rates is None else self.rates
        shape = {"prompt_len": load.prompt_len, "gen_tokens": load.gen_tokens}
        patience = {"request_timeout_s": 600, "drain_s": 300}
        document: dict[str, object] = {
            "model": model,
            "runtimes": [self.runtime],
            "seed": 7,
            "trials": self.trials or trials,
            "resources": {"gpu": gpus},
            "max_model_len": window,
            "workloads": [
                *({**self._loop(many, load.seconds), **shape, **patience} for many in loops),
                *({**_arrivals(rate, load.seconds), **shape, **patience} for rate in rates),
            ],
        }
        if self.engine_args:
            document["engine_args"] = {self.runtime.partition("@")[0]: dict(self.engine_args)}
        return json.dumps(document, indent=1) + "\n"

    def _loop(self, many: int, seconds: float) -> dict[str, object]:
        nearest = min(_GUESSED_RATE, key=lambda known: abs(known - many))
        wanted = round(_GUESSED_RATE[nearest] * seconds / self.slowness)
        requests = max(wanted, round(many * self.waves), 3)
        return {"name": f"c{many}", "arrival": "concurrency", "concurrency": many, "requests": requests}


def parse_side(text: str) -> Side:
    """`NAME=RUNTIME@VERSION:ARG=VALUE,...`.

    The table's own arguments are `at` (1+256, or none), `rates` (4+16, or none), `slow`, `waves` and `trials`.
    """
    name, equals, rest = text.partition("=")
    runtime, _, said = rest.partition(":")
    if not (name and equals and runtime):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=RUNTIME, for example paged=transformers@5.17.0")
    args = dict(pair.split("=", 1) for pair in said.split(",") if "=" in pair)
    side = Side(
        name=name,
        runtime=runtime,
        concurrency=None if "at" not in args else tuple(int(many) for many in _list(args.pop("at"))),
        rates=None if "rates" not in args else tuple(float(rate) for rate in _list(args.pop("rates"))),
        slowness=float(args.pop("slow", "1")),
        waves=float(args.pop("waves", "1.5")),
        trials=int(args.pop("trials", "0")) or None,
    )
    return replace(side, engine_args={key: _value(value) for key, value in args.items()})


def with_args(sides: Sequence[Side], given: Sequence[str]) -> list[Side]:
    """Sides with more engine arguments: `NAME={"ARG": VALUE}`, for those that hold commas. Raises ValueError."""
    more: dict[str, dict[str, object]] = {}
    for text in given:
        name, _, said = text.partition("=")
        if name not in {side.name for side in sides}:
            raise ValueError(f"--args names the side {name!r}, and there is none of that name")
        more[name] = json.loads(said)
    return [replace(side, engine_args={**side.engine_args, **more.get(side.name, {})}) for side in sides]


def _arrivals(rate: float, seconds: float) -> dict[str, object]:
    return {"name": f"r{rate:g}", "arrival": "poisson", "qps": rate, "duration_s": seconds, "warmup": 2}


def _list(text: str) -> list[str]:
    return [] if text == "none" else text.split("+")


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
