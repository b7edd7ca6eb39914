"""What a simulated engine is like: its speed, its memory, and the faults it was told to have."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tokenforge.domain.errors import Fault, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSettings:
    """Times in ms, sizes in tokens. A step costs `step_ms` + `decode_ms` per running sequence + prefill time.

    Faults are off by default: `die_after_requests` ends the engine when so many requests have started; `error_rate` is
    the share of requests that fail; `stall_every` makes each n-th step last `stall_ms` more; `truncate_rate` is the
    share of streams that end in an engine error half-way; `usage_off_by` is added to completion tokens reported.
    """

    seed: int = 0
    step_ms: float = 5.0
    decode_ms: float = 0.1
    prefill_tokens_per_s: float = 20_000.0
    kv_tokens: int = 65_536
    max_num_seqs: int = 64
    max_model_len: int = 2_048
    start_ms: float = 0.0
    die_after_requests: int = 0
    error_rate: float = 0.0
    stall_every: int = 0
    stall_ms: float = 0.0
    truncate_rate: float = 0.0
    usage_off_by: int = 0


def read_sim_settings(args: Mapping[str, object]) -> SimSettings:
    """Engine arguments to settings. Raises InvalidInput with every unknown name (and the nearest), type and range."""
    known = {field.name: field for field in fields(SimSettings)}
    faults: list[Fault] = []
    values: dict[str, int | float] = {}
    for name, value in args.items():
        place = f"engine_args.sim.{name}"
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            faults.append(Fault(field=place, value=value, message="is unknown", hint=hint))
        elif isinstance(value, bool) or not isinstance(value, int | float):
            faults.append(Fault(field=place, value=value, message="must be a number"))
        elif name != "usage_off_by" and value < 0:
            faults.append(Fault(field=place, value=value, message="must not be negative"))
        elif known[name].type is int and not isinstance(value, int):
            faults.append(Fault(field=place, value=value, message="must be a whole number"))
        else:
            values[name] = value
    if faults:
        raise InvalidInput(faults, source="engine_args")
    return SimSettings(**values)  # type: ignore[arg-type]
