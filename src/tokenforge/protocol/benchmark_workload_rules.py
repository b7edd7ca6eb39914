"""What the fields of one workload say to each other, and to its arrival.

A key that would have no effect is a fault, not ignored: nobody must believe in a setting that did nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tokenforge.domain.errors import Fault
from tokenforge.domain.workload import Arrival, TraceFormat
from tokenforge.protocol.benchmark_durations import seconds_of
from tokenforge.protocol.benchmark_raw import longest, mean, number, shortest, steps_of
from tokenforge.protocol.benchmark_words import nearest, shown

MAX_REQUESTS = 1_000_000
"""What one trial may plan: its prompts are held in memory."""
MAX_TURNS = 1_000
"""Turns of one conversation: each prompt holds all before it."""

_RATED = frozenset({Arrival.POISSON, Arrival.CONSTANT, Arrival.GAMMA, Arrival.RAMP})
_OPEN = _RATED | {Arrival.STEP}
_ENDS_ITSELF = frozenset({Arrival.TRACE, Arrival.RAMP, Arrival.STEP})
_PLANNED = _OPEN | {Arrival.CONCURRENCY}
_ONLY_FOR: Mapping[str, frozenset[Arrival]] = {
    "qps": _RATED,
    "burstiness": frozenset({Arrival.GAMMA}),
    "ramp_to_qps": frozenset({Arrival.RAMP}),
    "steps": frozenset({Arrival.STEP}),
    "concurrency": frozenset({Arrival.CONCURRENCY}),
    "trace": frozenset({Arrival.TRACE}),
    "turns": _PLANNED,
    "think_time_s": _PLANNED,
}
_QPS = ("qps", "requests per second, for example qps: 5")
_NEEDS: Mapping[Arrival, tuple[tuple[str, str], ...]] = {
    Arrival.POISSON: (_QPS,),
    Arrival.CONSTANT: (_QPS,),
    Arrival.GAMMA: (_QPS,),
    Arrival.RAMP: (
        ("qps", "the rate at the start, for example qps: 1"),
        ("ramp_to_qps", "the rate at the end, for example ramp_to_qps: 20"),
        ("duration_s", "how long the ramp takes, for example duration_s: 60"),
    ),
    Arrival.STEP: (("steps", "rates and how long they last, for example [{qps: 5, duration_s: 30}]"),),
    Arrival.TRACE: (("trace", "write trace: {path: FILE, format: azure}"),),
    Arrival.CONCURRENCY: (("concurrency", "the number of clients, for example concurrency: 8"),),
}
_MADE_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "trace": ("prompt_len", "gen_tokens", "shared_prefix", "dataset"),
    "dataset": ("prompt_len", "shared_prefix", "turns", "think_time_s"),
    "steps": ("duration_s",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """The names of formats that can be read: published ones and those of installed plug-ins."""

    traces: Sequence[str] = tuple(TraceFormat)
    datasets: Sequence[str] = ("jsonl",)


PUBLISHED = Formats()


def workload_faults(
    workload: Mapping[str, object], *, path: str, names: set[object], formats: Formats
) -> Iterator[Fault]:
    """Every fault of the workload at `path`, one a field. `names` are those of earlier workloads; its own is added."""
    told: set[str] = set()
    for fault in _Rules(workload, path=path, formats=formats).faults(names):
        if fault.field not in told:
            told.add(fault.field)
            yield fault


def inferred_arrival(workload: Mapping[str, object]) -> Arrival | None:
    """The arrival that is written or follows from the other keys; None when what is written is none."""
    written = workload.get("arrival")
    if written is not None:
        return Arrival(written) if isinstance(written, str) and written in set(Arrival) else None
    for key, arrival in (("trace", Arrival.TRACE), ("steps", Arrival.STEP)):
        if workload.get(key) is not None:
            return arrival
    return Arrival.CONCURRENCY if workload.get("concurrency") is not None else Arrival.POISSON


class _Rules:
    """One workload under the rules."""

    def __init__(self, workload: Mapping[str, object], *, path: str, formats: Formats) -> None:
        self._has = {key: value for key, value in workload.items() if value is not None}
        self._path = path
        self._arrival = inferred_arrival(workload)
        self._formats = formats

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
        yield from self._turns()
        yield from self._cancellations()
        yield from self._known_formats()

    def _needs(self, arrival: Arrival) -> Iterator[Fault]:
        for key, hint in _NEEDS[arrival]:
            if key not in self._has:
                yield self._fault(key, f"is missing: arrival {arrival} needs it", hint)
        if arrival not in _ENDS_ITSELF and not self._has.keys() & {"duration_s", "requests"}:
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
        expected, bound = self._expected(arrival), self._number("requests")
        key = "steps" if arrival is Arrival.STEP else "duration_s"
        if expected is not None and 0 <= expected < 1 and (expected > 0 or arrival is Arrival.STEP):
            hint = "raise a step's qps or duration_s" if arrival is Arrival.STEP else "raise it, or qps"
            yield self._fault(key, f"is too short: {expected:.2g} requests expected", hint)
        in_all = None if expected is None else expected * (mean(self._has.get("turns")) or 1.0)
        planned = min((n for n in (in_all, bound) if n is not None), default=0.0)
        if arrival in _PLANNED and planned > MAX_REQUESTS:
            key = "requests" if bound == planned else key
            yield self._fault(key, f"makes {planned:,.0f} requests in a trial", f"stay within {MAX_REQUESTS:,}")

    def _expected(self, arrival: Arrival) -> float | None:
        """Arrivals of an open loop that its rates come to, None when that can't be told."""
        if arrival is Arrival.STEP:
            steps = steps_of(self._has)
            is_sound = bool(steps) and all(qps >= 0 and span > 0 for qps, span in steps)
            return sum(qps * span for qps, span in steps) if is_sound else None
        rate, span = (self._number(key) if arrival in _OPEN else None for key in ("qps", "duration_s"))
        end = self._number("ramp_to_qps") if arrival is Arrival.RAMP else rate
        return None if rate is None or end is None or span is None else (rate + end) / 2 * span

    def _rate(self) -> Iterator[Fault]:
        rate, is_ramp = self._number("qps"), self._arrival is Arrival.RAMP
        if rate is not None and (rate < 0 or (rate == 0 and not is_ramp)):
            message = "must be at least 0" if is_ramp else "must be more than 0"
            yield self._fault("qps", message, "requests per second, for example 5")

    def _prefix(self) -> Iterator[Fault]:
        written = self._has.get("shared_prefix")
        prefix = number(written.get("tokens") if isinstance(written, Mapping) else written)
        least = shortest(self._has.get("prompt_len", 256))
        if prefix is not None and least is not None and 0 < least <= prefix:
            hint = "prompt_len counts the prefix too: raise it (or its low), or lower shared_prefix"
            yield self._fault("shared_prefix", f"must be less than the shortest prompt, {least:g} tokens", hint)

    def _warm_up(self) -> Iterator[Fault]:
        key = "steps" if self._arrival is Arrival.STEP else "duration_s"
        span = sum(span for _, span in steps_of(self._has)) if key == "steps" else self._number("duration_s")
        warmup = seconds_of(self._has.get("warmup"))
        if warmup is not None and span is not None and 0 < span <= warmup:
            yield self._fault("warmup", f"leaves nothing of {key} = {span:g} s to count", "lower it")

    def _turns(self) -> Iterator[Fault]:
        most = longest(self._has.get("turns"))
        if most is not None and most > MAX_TURNS:
            hint = f"stay within {MAX_TURNS:,}: set the `high` of a distribution"
            yield self._fault("turns", f"may come to {most:,.0f} turns in a conversation", hint)
        if "think_time_s" in self._has and "turns" not in self._has:
            hint = "write turns, for example turns: 3, or leave think_time_s out"
            yield self._fault("think_time_s", "has no effect without turns", hint)

    def _cancellations(self) -> Iterator[Fault]:
        share = self._number("cancel_share")
        if share and "cancel_after_s" not in self._has:
            hint = "seconds from the send to the hang-up, for example cancel_after_s: 0.5"
            yield self._fault("cancel_after_s", "is missing: cancel_share needs it", hint)
        if "cancel_after_s" in self._has and "cancel_share" not in self._has:
            hint = "write cancel_share, for example cancel_share: 0.1, or leave cancel_after_s out"
            yield self._fault("cancel_after_s", "has no effect without cancel_share", hint)

    def _known_formats(self) -> Iterator[Fault]:
        for key, known in (("trace", self._formats.traces), ("dataset", self._formats.datasets)):
            source = self._has.get(key)
            name = source.get("format") if isinstance(source, Mapping) else None
            if isinstance(name, str) and name and name not in known:
                close = nearest(name, known)
                hint = f"did you mean {close}?" if close else "install the package that can read it"
                message = f"is not one of {', '.join(sorted(known))}"
                yield Fault(field=f"{self._path}.{key}.format", value=name, message=message, hint=hint)

    def _number(self, key: str) -> float | None:
        return number(self._has.get(key))

    def _fault(self, key: str, message: str, hint: str) -> Fault:
        return Fault(field=f"{self._path}.{key}", value=shown(self._has.get(key)), message=message, hint=hint)
