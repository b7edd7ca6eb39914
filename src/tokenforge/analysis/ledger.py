"""Where the time of each request went: stages that add up to its E2E, to the nanosecond.

The client's own stamps give what nobody else can: lag, the wait for the first token, and the pace after it. What lies
in that wait only the server can tell, and it tells durations of its own clock; so no two clocks are compared, and the
network is what is left. A stage that was not told is not zero: it is part of a sum with a name of its own.

- `lag`: due until sent. `network`: both ways, with what the server needs after the last token. `gateway`: until the
  request was passed on. `worker`: HTTP, tokenising, text. `queue`: until the engine took it up. `prefill`: until it had
  the first token.
- `decode` and `stall` are the time from the first token to the last. A gap of over 5 times the usual pace (the trial's
  median TPOT) is a stall, and what it has beyond the usual pace counts as stall; the rest is decode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.intervals import Estimate, over_trials
from tokenforge.analysis.requests import Bools, Ints
from tokenforge.analysis.trials import Trial

STAGES = ("lag", "network", "gateway", "worker", "queue", "prefill", "decode", "stall")
"""All stages, in the order in which they come to pass."""

_KNOWN = 0.99
_STALL = 5
_SLOWEST = 0.01
_NS_PER_MS = 1e6
_GATEWAY = ("gateway_ns",)
_SERVER = ("server_first_ns",)
_ENGINE = ("server_first_ns", "server_queue_ns", "server_prefill_ns")
_INSIDE = ("worker", "queue", "prefill")

Group = tuple[str, ...]
"""One stage, or several that only their sum is known of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """A stage (or the sum of `parts`) over a run, in ms. Means add up to that of E2E, quantiles do not.

    `slowest` is the mean over the slowest 1 % of requests by E2E; it adds up too. `share` is of the mean E2E.
    """

    parts: Group
    mean: Estimate
    p50: float
    p99: float
    share: float
    slowest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The ledger of a run. `origin` is `due` in an open loop, `sent` in a closed one.

    `requests` are in it; `left_out` ended well, but had no token, or lack a part that the others told.
    """

    origin: str
    requests: int
    left_out: int
    stages: tuple[StageTime, ...]
    e2e: StageTime


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLedger:
    """Whole nanoseconds per request and stage; `rows` are the requests' places in the trial."""

    rows: Ints
    stages: Mapping[Group, Ints]
    e2e: Ints


def read_ledger(run: RunFacts, trials: Sequence[Trial]) -> Ledger | None:
    """The ledger of a run; None where no request has a first token."""
    groups = layout(run, trials)
    parts = [trial_ledger(trial, groups) for trial in trials]
    e2e = np.concatenate([part.e2e for part in parts]) if parts else np.empty(0, np.int64)
    if len(e2e) == 0:
        return None
    slow = np.argsort(e2e, kind="stable")[-max(1, round(_SLOWEST * len(e2e))) :]
    total = float(e2e.mean())
    counted = sum(int(trial.counted.sum()) for trial in trials)
    return Ledger(
        origin="due" if run.workload.is_open else "sent",
        requests=len(e2e),
        left_out=counted - len(e2e),
        stages=tuple(_stage(group, [part.stages[group] for part in parts], slow=slow, total=total) for group in groups),
        e2e=_stage(STAGES, [part.e2e for part in parts], slow=slow, total=total),
    )


def layout(run: RunFacts, trials: Sequence[Trial]) -> tuple[Group, ...]:
    """Which stages can be told apart: those that 99 % of the requests have."""
    has_gateway, has_server, has_engine = (_is_known(trials, names) for names in (_GATEWAY, _SERVER, _ENGINE))
    between: Group = () if has_gateway or run.is_ours else ("gateway",)
    outside: Group = ("network", *between)
    inside: tuple[Group, ...] = (("worker",), ("queue",), ("prefill",)) if has_engine else (_INSIDE,)
    if not has_server:
        outside, inside = (*outside, *_INSIDE), ()
    gateway: tuple[Group, ...] = (("gateway",),) if has_gateway else ()
    lag: tuple[Group, ...] = (("lag",),) if run.workload.is_open else ()
    return (*lag, outside, *gateway, *inside, ("decode",), ("stall",))


def trial_ledger(trial: Trial, groups: Sequence[Group]) -> TrialLedger:
    """Every request of a trial that ended well and has what the layout needs. Rows add up exactly."""
    rows = np.flatnonzero(_has(trial, _needed(groups)))
    is_open = ("lag",) in groups
    start, sent, first, last, end = (
        _whole(trial, name, rows)
        for name in ("scheduled_ns" if is_open else "sent_ns", "sent_ns", "first_ns", "last_chunk_ns", "end_ns")
    )
    stall = _stalls(trial)[rows]
    found: dict[Group, Ints] = {("decode",): last - first - stall, ("stall",): stall}
    if is_open:
        found["lag",] = sent - start
    told = _told(trial, groups, rows)
    outside = next(group for group in groups if group[0] == "network")
    found |= told | {outside: (first - sent) + (end - last) - sum(told.values(), np.zeros(len(rows), np.int64))}
    return TrialLedger(rows=rows, stages={group: found[group] for group in groups}, e2e=end - start)


def _told(trial: Trial, groups: Sequence[Group], rows: Ints) -> dict[Group, Ints]:
    """The stages before the first token that somebody told."""
    found: dict[Group, Ints] = {}
    if ("gateway",) in groups:
        found["gateway",] = _whole(trial, "gateway_ns", rows)
    if _INSIDE in groups:
        found[_INSIDE] = _whole(trial, "server_first_ns", rows)
    if ("queue",) in groups:
        found["queue",], found["prefill",] = (_whole(trial, name, rows) for name in _ENGINE[1:])
        found["worker",] = _whole(trial, "server_first_ns", rows) - found["queue",] - found["prefill",]
    return found


def _needed(groups: Sequence[Group]) -> Group:
    """The columns that a layout is made of, beside the client's own."""
    gateway = _GATEWAY if ("gateway",) in groups else ()
    server = _ENGINE if ("queue",) in groups else _SERVER if _INSIDE in groups else ()
    return (*gateway, *server)


def _has(trial: Trial, names: Sequence[str]) -> Bools:
    """Counted requests with a first token and these columns, where what was told fits into what the client saw."""
    requests = trial.requests
    wait = requests.first_ns - requests.sent_ns
    told = [getattr(requests, name) for name in names if name in (*_GATEWAY, *_SERVER)]
    inside = [getattr(requests, name) for name in names if name in _ENGINE[1:]]
    fits = ~np.isnan(wait + requests.last_chunk_ns + requests.end_ns)
    if told:
        fits &= np.sum(told, axis=0) <= wait
    if inside:
        fits &= np.sum(inside, axis=0) <= requests.server_first_ns
    return trial.counted & fits


def _is_known(trials: Sequence[Trial], names: Sequence[str]) -> bool:
    """Whether almost all requests with a first token have these."""
    total = sum(int(_has(trial, ()).sum()) for trial in trials)
    return total > 0 and sum(int(_has(trial, names).sum()) for trial in trials) >= _KNOWN * total


def _whole(trial: Trial, name: str, rows: Ints) -> Ints:
    return np.asarray(getattr(trial.requests, name)[rows], dtype=np.int64)


def _stalls(trial: Trial) -> Ints:
    """Per request the time in long gaps beyond the usual pace, in whole ns."""
    lost = np.zeros(len(trial.requests), dtype=np.int64)
    paces = trial.latencies.samples("tpot")
    if len(paces) == 0:
        return lost
    usual_ns = int(np.median(paces) * _NS_PER_MS)
    for chunks in trial.requests.chunks():
        later = np.flatnonzero(~chunks.is_first)
        gaps = chunks.ns[later] - chunks.ns[later - 1]
        due = usual_ns * np.maximum(chunks.tokens[later], 1).astype(np.int64)
        long = np.flatnonzero(gaps > _STALL * due)
        np.add.at(lost, chunks.owner[later[long]], gaps[long] - due[long])
    return lost


def _stage(parts: Group, by_trial: Sequence[Ints], *, slow: Ints, total: float) -> StageTime:
    values = np.concatenate(by_trial)
    means = [float(one.mean()) / _NS_PER_MS if len(one) else None for one in by_trial]
    p50, p99 = np.quantile(values, [0.5, 0.99]).tolist()
    mean = float(values.mean())
    estimate = over_trials(means)
    return StageTime(
        parts=parts,
        mean=Estimate(value=mean / _NS_PER_MS, low=estimate.low, high=estimate.high, note=estimate.note),
        p50=p50 / _NS_PER_MS,
        p99=p99 / _NS_PER_MS,
        share=mean / total if total else 0.0,
        slowest=float(values[slow].mean()) / _NS_PER_MS,
    )
