"""Doubts about the client: a load generator that was late, off its rate, or out of CPU measures itself."""

from collections.abc import Iterator, Sequence

import numpy as np

from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.requests import Floats
from tokenforge.analysis.trials import Trial

_LAG_FLOOR_MS = 5.0
_LAG_SHARE = 0.05
_RATE_OFF = 0.01
_RATE_OFF_INVALID = 0.10
_CPU_SHARE = 0.90
_LOOP_DELAY_MS = 25.0
_STALLED_SHARE = 0.001


def doubt_client(run: RunFacts, trials: Sequence[Trial]) -> Iterator[Reason]:
    """Was the load offered as planned, by a generator with time to spare?"""
    if run.workload.is_open:
        yield from _lag(trials)
        yield from _rate(trials)
    yield from _stalls(trials)
    cpu = max((t.facts.cpu_share for t in trials if t.facts and t.facts.cpu_share is not None), default=0.0)
    if cpu > _CPU_SHARE:
        yield reason(
            "generator_busy",
            Level.SUSPECT,
            f"The load generator used {cpu:.0%} of its core, so it may have measured its own delay.",
            cpu_share=cpu,
            limit=_CPU_SHARE,
        )


def _stalls(trials: Sequence[Trial]) -> Iterator[Reason]:
    """A pause delays what falls due in it, so what it spoils grows with the share of time that pauses fill."""
    facts = [trial.facts for trial in trials if trial.facts is not None and trial.facts.loop_delay_max_ms is not None]
    longest_ms = max((one.loop_delay_max_ms or 0.0 for one in facts), default=0.0)
    if longest_ms > _LOOP_DELAY_MS:
        share = max((one.loop_stalled_s or 0.0) / one.duration_s for one in facts if one.duration_s > 0)
        yield reason(
            "generator_stalled",
            Level.SUSPECT if share > _STALLED_SHARE else Level.NOTE,
            f"The load generator's event loop stood still for up to {longest_ms:.0f} ms, the limit is "
            f"{_LOOP_DELAY_MS:.0f} ms; such pauses fill {share:.2%} of a trial, and sends due in them were late.",
            loop_delay_max_ms=longest_ms,
            limit_ms=_LOOP_DELAY_MS,
            stalled_share=share,
        )


def _lag(trials: Sequence[Trial]) -> Iterator[Reason]:
    lags = joined([trial.latencies.samples("lag") for trial in trials])
    waits = joined([trial.latencies.samples("ttft") for trial in trials])
    if len(lags) == 0 or len(waits) == 0:
        return
    lag, wait = float(np.quantile(lags, 0.99)), float(np.median(waits))
    limit = max(_LAG_FLOOR_MS, _LAG_SHARE * wait)
    if lag > limit:
        yield reason(
            "generator_late",
            Level.INVALID if lag > max(20.0, 0.5 * wait) else Level.SUSPECT,
            f"Requests left late: lag p99 is {lag:.1f} ms, the limit is {limit:.1f} ms. TTFT contains this delay.",
            lag_p99_ms=lag,
            limit_ms=limit,
        )


def _rate(trials: Sequence[Trial]) -> Iterator[Reason]:
    worst, asked, sent = 0.0, 0.0, 0.0
    for trial in trials:
        planned = trial.rates.asked_rate
        if planned and trial.rates.sent_rate and len(trial.requests) >= 20:
            unsent = trial.facts.planned_requests if trial.facts else len(trial.requests)
            achieved = trial.rates.sent_rate * min(1.0, len(trial.requests) / max(1, unsent))
            if abs(achieved / planned - 1) > worst:
                worst, asked, sent = abs(achieved / planned - 1), planned, achieved
    if worst > _RATE_OFF:
        yield reason(
            "rate_off",
            Level.INVALID if worst > _RATE_OFF_INVALID else Level.SUSPECT,
            f"The plan asked for {asked:.2f} requests/s and {sent:.2f} were sent, {worst:.1%} off.",
            asked_rate=asked,
            sent_rate=sent,
            limit=_RATE_OFF,
        )


def joined(parts: Sequence[Floats]) -> Floats:
    """Arrays of all trials as one."""
    return np.concatenate(parts) if parts else np.empty(0)
