"""What a simulated engine is like: its speed, its memory, and the faults it was told to have."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tokenforge.domain.errors import Fault, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSettings:
    """Times in ms or s, sizes in tokens. A step costs `step_ms` + `decode_ms` per running sequence + prefill time.

    `max_model_len` 0 means the model's own window (2,048 where there is no model). Faults are off by default (0):
    `die_after_requests` ends the engine in the step after so many requests have come, `die_after_s` so long after its
    start; `error_rate` is the share of requests that fail at once; `truncate_rate` the share of streams that end
    half-way without saying why; both fall on a prompt by (seed, prompt) alone, so the same prompts fail in each run;
    `stall_every` makes each n-th step last `stall_ms` more; `usage_off_by` is added to the completion tokens reported.
    """

    seed: int = 0
    start_ms: float = 0.0
    step_ms: float = 5.0
    decode_ms: float = 0.1
    prefill_tokens_per_s: float = 20_000.0
    kv_tokens: int = 65_536
    max_num_seqs: int = 64
    max_model_len: int = 0
    die_after_requests: int = 0
    die_after_s: float = 0.0
    error_rate: float = 0.0
    truncate_rate: float = 0.0
    stall_every: int = 0
    stall_ms: float = 0.0
    usage_off_by: int = 0


_ANY = {"seed", "usage_off_by"}
_POSITIVE = {"prefill_tokens_per_s", "kv_tokens", "max_num_seqs"}
_SHARES = {"error_rate", "truncate_rate"}


def read_sim_settings(args: Mapping[str, object]) -> SimSettings:
    """Engine arguments to settings. Raises InvalidInput with every unknown name (and the nearest), type and range."""
    kinds = {field.name: field.type for field in fields(SimSettings)}
    faults: list[Fault] = []
    values: dict[str, int | float] = {}
    for name, value in args.items():
        place = f"engine_args.sim.{name}"
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(kinds)}"
            faults.append(Fault(field=place, value=value, message="is unknown", hint=hint))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            faults.append(Fault(field=place, value=value, message="must be a number"))
        elif (wrong := _out_of_range(name, value, is_whole=kinds[name] is int)) is not None:
            faults.append(Fault(field=place, value=value, message=wrong))
        else:
            values[name] = value
    if not faults and (total := sum(values.get(name, 0.0) for name in _SHARES)) > 1:
        faults.append(Fault(field="engine_args.sim", value=total, message="error_rate and truncate_rate exceed 1"))
    if faults:
        raise InvalidInput(faults, source="engine_args")
    return SimSettings(**values)  # type: ignore[arg-type]


def _out_of_range(name: str, value: float, *, is_whole: bool) -> str | None:
    if is_whole and not isinstance(value, int):
        return "must be a whole number"
    if name in _POSITIVE and value <= 0:
        return "must be more than 0"
    if name in _SHARES and not 0 <= value <= 1:
        return "must be from 0 to 1"
    if name not in _ANY and value < 0:
        return "must not be negative"
    return None
