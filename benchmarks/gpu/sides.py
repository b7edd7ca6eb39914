"""One side of the table: a runtime, its engine arguments, and the benchmark file that measures it."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_GUESSED_RATE = {1: 1.2, 8: 9.0, 32: 22.0, 128: 42.0, 256: 50.0}
"""Requests a second (512 + 128 tokens of an 8B model) that a trial's length is reckoned with: about an H100's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A runtime as it is compared. No `concurrency`: that of the whole table. `slowness` divides its request counts."""

    name: str
    runtime: str
    engine_args: Mapping[str, object] = field(default_factory=dict)
    concurrency: tuple[int, ...] = ()
    slowness: float = 1.0

    def benchmark(
        self, *, model: str, concurrency: Sequence[int], trials: int, prompt_len: int, gen_tokens: int, seconds: float,
        window: int,
    ) -> str:  # fmt: skip
        """The benchmark file, as JSON (which is YAML): one closed loop a concurrency."""
        document: dict[str, object] = {
            "model": model,
            "runtimes": [self.runtime],
            "seed": 7,
            "trials": trials,
            "resources": {"gpu": 1},
            "max_model_len": window,
            "workloads": [
                {
                    "name": f"c{many}",
                    "arrival": "concurrency",
                    "concurrency": many,
                    "requests": self._requests(many, seconds),
                    "prompt_len": prompt_len,
                    "gen_tokens": gen_tokens,
                }
                for many in concurrency
            ],
        }
        if self.engine_args:
            document["engine_args"] = {self.runtime.partition("@")[0]: dict(self.engine_args)}
        return json.dumps(document, indent=1) + "\n"

    def _requests(self, many: int, seconds: float) -> int:
        nearest = min(_GUESSED_RATE, key=lambda known: abs(known - many))
        wanted = round(_GUESSED_RATE[nearest] * seconds / self.slowness)
        return max(wanted, many + many // 2, 3)


def parse_side(text: str) -> Side:
    """`NAME=RUNTIME@VERSION:ARG=VALUE,...`; the arguments `at` (1+256) and `slow` (a factor) are the table's own."""
    name, equals, rest = text.partition("=")
    runtime, _, said = rest.partition(":")
    if not (name and equals and runtime):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=RUNTIME, for example paged=transformers@5.17.0")
    args = dict(pair.split("=", 1) for pair in said.split(",") if "=" in pair)
    at = tuple(int(many) for many in args.pop("at", "").split("+") if many)
    slowness = float(args.pop("slow", "1"))
    values = {key: _value(value) for key, value in args.items()}
    return Side(name=name, runtime=runtime, engine_args=values, concurrency=at, slowness=slowness)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
