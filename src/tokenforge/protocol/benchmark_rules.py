"""What the fields of a benchmark say to each other. Works on the body as written, so it speaks even where types fail.

A key that would have no effect is a fault, not ignored: nobody must believe in a setting that did nothing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime
from tokenforge.domain.workload import Arrival
from tokenforge.protocol.benchmark_words import nearest, shown

MAX_REQUESTS = 1_000_000
"""What one trial may plan: its prompts are held in memory."""

_OPEN = frozenset({Arrival.POISSON, Arrival.CONSTANT, Arrival.GAMMA, Arrival.RAMP})
_ONLY_FOR: Mapping[str, frozenset[Arrival]] = {
    "qps": _OPEN,
    "burstiness": frozenset({Arrival.GAMMA}),
    "ramp_to_qps": frozenset({Arrival.RAMP}),
    "concurrency": frozenset({Arrival.CONCURRENCY}),
    "trace": frozenset({Arrival.TRACE}),
}
_NEEDS: Mapping[Arrival, tuple[tuple[str, str], ...]] = {
    Arrival.POISSON: (("qps", "requests per second, for example qps: 5"),),
    Arrival.CONSTANT: (("qps", "requests per second, for example qps: 5"),),
    Arrival.GAMMA: (("qps", "requests per second, for example qps: 5"),),
    Arrival.RAMP: (
        ("qps", "the rate at the start, for example qps: 1"),
        ("ramp_to_qps", "the rate at the end, for example ramp_to_qps: 20"),
        ("duration_s", "how long the ramp takes, for example duration_s: 60"),
    ),
    Arrival.TRACE: (("trace", "write trace: {path: FILE, format: azure}"),),
    Arrival.CONCURRENCY: (("concurrency", "the number of clients, for example concurrency: 8"),),
}
_MADE_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "trace": ("prompt_len", "gen_tokens", "shared_prefix", "dataset"),
    "dataset": ("prompt_len", "shared_prefix"),
}


def rule_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    """Every fault between fields. `data` is the body as the user wrote it."""
    yield from _model_faults(data)
    yield from _runtime_faults(data)
    yield from _engine_args_faults(data)
    names: set[object] = set()
    for index, workload in enumerate(_items(data.get("workloads"))):
        if isinstance(workload, Mapping):
            yield from _Rules(workload, path=f"workloads[{index}]").faults(names)


def inferred_arrival(workload: Mapping[str, object]) -> Arrival | None:
    """The arrival that is written or follows from the other keys; None when what is written is none."""
    written = workload.get("arrival")
    if written is not None:
        return Arrival(written) if written in {str(arrival) for arrival in Arrival} else None
    if workload.get("trace") is not None:
        return Arrival.TRACE
    return Arrival.CONCURRENCY if workload.get("concurrency") is not None else Arrival.POISSON


class _Rules:
    """One workload under the rules."""

    def __init__(self, workload: Mapping[str, object], *, path: str) -> None:
        self._has = {key: value for key, value in workload.items() if value is not None}
        self._path = path
        self._arrival = inferred_arrival(workload)

    def faults(self, names: set[object]) -> Iterator[Fault]:
        name = self._has.get("name")
        if isinstance(name, str):
            if name in names:
                yield self._fault("name", "is the name of another workload too", "give each its own name")
            names.add(name)
        if self._arrival is not None:
            yield from self._needs(self._arrival)
            yield from self._idle_keys(self._arrival)
            yield from self._sizes(self._arrival)
        yield from self._rate()
        yield from self._prefix()
        yield from self._warm_up()

    def _needs(self, arrival: Arrival) -> Iterator[Fault]:
        for key, hint in _NEEDS[arrival]:
            if key not in self._has:
                yield self._fault(key, f"is missing: arrival {arrival} needs it", hint)
        if arrival not in {Arrival.TRACE, Arrival.RAMP} and not self._has.keys() & {"duration_s", "requests"}:
            yield self._fault("duration_s", "is missing: the load would never end", "write duration_s, or requests")

    def _idle_keys(self, arrival: Arrival) -> Iterator[Fault]:
        for key, arrivals in _ONLY_FOR.items():
            if key in self._has and arrival not in arrivals:
                hint = f"leave it out, or write arrival: {' | '.join(sorted(arrivals))}"
                yield self._fault(key, f"has no effect with arrival {arrival}", hint)
        for source, keys in _MADE_ELSEWHERE.items():
            for key in keys:
                if source in self._has and key in self._has:
                    yield self._fault(key, f"contradicts {source}, which says it already", f"leave {key} out")

    def _sizes(self, arrival: Arrival) -> Iterator[Fault]:
        rate, span, bound = (self._number(key) for key in ("qps", "duration_s", "requests"))
        end = self._number("ramp_to_qps") if arrival is Arrival.RAMP else rate
        expected = (rate + end) / 2 * span if rate is not None and end is not None and span is not None else None
        if arrival in _OPEN and expected is not None and rate is not None and 0 < expected < 1:
            yield self._fault("duration_s", f"is too short: {expected:.2g} requests expected", "raise it, or qps")
        planned = min((n for n in (expected, bound) if n is not None), default=0.0)
        if arrival in _OPEN | {Arrival.CONCURRENCY} and planned > MAX_REQUESTS:
            key = "requests" if bound == planned else "duration_s"
            yield self._fault(key, f"makes {planned:,.0f} requests in a trial", f"stay within {MAX_REQUESTS:,}")

    def _rate(self) -> Iterator[Fault]:
        rate, is_ramp = self._number("qps"), self._arrival is Arrival.RAMP
        if rate is not None and (rate < 0 or (rate == 0 and not is_ramp)):
            message = "must be at least 0" if is_ramp else "must be more than 0"
            yield self._fault("qps", message, "requests per second, for example 5")

    def _prefix(self) -> Iterator[Fault]:
        prefix = self._number("shared_prefix")
        shortest = _shortest(self._has.get("prompt_len", 256))
        if prefix is not None and shortest is not None and 0 < shortest <= prefix:
            hint = "prompt_len counts the prefix too: raise it (or its low), or lower shared_prefix"
            yield self._fault("shared_prefix", f"must be less than the shortest prompt, {shortest:g} tokens", hint)

    def _warm_up(self) -> Iterator[Fault]:
        warmup, span = self._number("warmup"), self._number("duration_s")
        if warmup is not None and span is not None and 0 < span <= warmup:
            yield self._fault("warmup", f"leaves nothing of duration_s = {span:g} to count", "lower it")

    def _number(self, key: str) -> float | None:
        return _number(self._has.get(key))

    def _fault(self, key: str, message: str, hint: str) -> Fault:
        return Fault(field=f"{self._path}.{key}", value=shown(self._has.get(key)), message=message, hint=hint)


def _model_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    one, several = data.get("model"), data.get("models")
    if one is None and several is None:
        hint = "write model: a hub id (owner/name), a folder (./path), or synthetic:NAME"
        yield Fault(field="model", value=None, message="is missing", hint=hint)
    if one is not None and several is not None:
        yield Fault(field="models", value=shown(several), message="contradicts model", hint="write one of the two")
    if isinstance(one, str):
        yield from _refused(lambda: parse_model(one, field="model"))
    yield from _each(several, "models", lambda text, field: parse_model(text, field=field))


def _runtime_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    yield from _each(data.get("runtimes"), "runtimes", lambda text, field: parse_runtime(text, field=field))


def _each(value: object, field: str, parse: Callable[[str, str], object]) -> Iterator[Fault]:
    """Parse each text of a list, or the one text; a second time the same is a fault."""
    seen: set[str] = set()
    for index, text in enumerate(_items(value)):
        if not isinstance(text, str):
            continue
        path = field if isinstance(value, str) else f"{field}[{index}]"
        yield from _refused(lambda text=text, path=path: parse(text, path))  # type: ignore[misc]
        if text in seen:
            yield Fault(field=path, value=text, message="is listed twice", hint="leave one out")
        seen.add(text)


def _engine_args_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    args = data.get("engine_args")
    if not isinstance(args, Mapping):
        return
    known = [text.partition("@")[0] for text in _items(data.get("runtimes")) if isinstance(text, str)]
    for key, value in args.items():
        field = f"engine_args.{key}"
        if key not in known:
            close = nearest(key, known)
            hint = f"did you mean {close}?" if close else f"the runtimes here are {', '.join(known) or 'none'}"
            yield Fault(field=field, value=shown(value), message="is not a runtime of this benchmark", hint=hint)
        if isinstance(value, Mapping):
            yield from _not_json(value, field)


def _not_json(value: object, field: str) -> Iterator[Fault]:
    """Engine arguments go through JSON and into the record: dates, sets and infinities have no place there."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield Fault(field=f"{field}.{key}", value=shown(item), message="is a key that is not text")
            yield from _not_json(item, f"{field}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{field}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(field=field, value=value, message="must be a finite number")
    elif value is not None and not isinstance(value, str | int | float | bool):
        hint = "put it in quotes if it is text"
        yield Fault(field=field, value=value, message=f"is a {type(value).__name__}, not a JSON value", hint=hint)


def _refused(parse: Callable[[], object]) -> Sequence[Fault]:
    try:
        parse()
    except InvalidInput as error:
        return error.faults
    return ()


def _items(value: object) -> Sequence[object]:
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, list | tuple) else ()


def _number(value: object) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def _shortest(length: object) -> float | None:
    """The fewest tokens a length may come to, None when it cannot be told."""
    if not isinstance(length, Mapping):
        return _number(length)
    for kind, parts in length.items():
        if isinstance(parts, Mapping):
            if kind == "histogram":
                return min((n for n in map(_number, _items(parts.get("values"))) if n is not None), default=None)
            return _number(parts.get("low", 1))
    return None
