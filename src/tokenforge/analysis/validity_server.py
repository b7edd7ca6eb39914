"""Doubts about the server: errors, work that a cache had done, answers that were cut, a process that began anew."""

from collections.abc import Iterator, Sequence

import numpy as np

from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.requests import Bools, Floats
from tokenforge.analysis.trials import Trial
from tokenforge.analysis.validity_client import joined

_ERRORS = 0.01
_CUT = 0.01
_CACHED = 0.01
_RESPONSES = 0.01
_INVALID = 0.10
_MIN_TOKENS = 8
_USUAL_SHARE = 0.05
_FASTEST_TOKENS_PER_S = 50_000.0


def doubt_server(run: RunFacts, trials: Sequence[Trial]) -> Iterator[Reason]:
    """Did the server answer, and do the work it was asked for?"""
    yield from _errors(trials)
    if not run.workload.has_shared_prompts:
        yield from _prefixes(trials)
    yield from _answers(trials)
    yield from _cut(trials)
    yield from _restarts(trials)
    backwards = sum(int((t.latencies.samples("ttft_service") < 0).sum()) for t in trials)
    if backwards:
        yield reason(
            "clock_step",
            Level.INVALID,
            f"{backwards} answers came before their request was sent: stamps are not of one clock.",
            requests=backwards,
        )


def _errors(trials: Sequence[Trial]) -> Iterator[Reason]:
    attempted = _attempted(trials)
    failed = attempted - sum(int(trial.counted.sum()) for trial in trials)
    share = failed / attempted if attempted else 0.0
    if share > _ERRORS:
        yield reason(
            "errors",
            Level.INVALID if share > _INVALID else Level.SUSPECT,
            f"{failed} of {attempted} requests failed ({share:.1%}); latencies are of the others, the easier ones.",
            errors=failed,
            requests=attempted,
            limit=_ERRORS,
        )


def _prefixes(trials: Sequence[Trial]) -> Iterator[Reason]:
    """By the server's own counters and by what its answers say; the larger of the two."""
    told = [
        t.facts for t in trials if t.facts is not None and t.facts.prefix_queries and t.facts.prefix_hits is not None
    ]
    asked = sum(one.prefix_queries or 0 for one in told)
    counted = sum(one.prefix_hits or 0 for one in told) / asked if asked else 0.0
    said = _total(trials, "cached_tokens") / max(1.0, _total(trials, "prompt_tokens"))
    share = max(counted, said)
    if share >= _CACHED:
        yield reason(
            "warm_prefix_cache",
            Level.INVALID if share >= _INVALID else Level.SUSPECT,
            f"{share:.1%} of prompt tokens came from a prefix cache, though the workload shares no prefix.",
            cached_share=share,
            by_counters=counted if told else None,
            limit=_CACHED,
        )


def _answers(trials: Sequence[Trial]) -> Iterator[Reason]:
    sure = [_is_from_cache(trial) for trial in trials]
    judged = sum(int((trial.requests.tokens_delivered[trial.counted] >= _MIN_TOKENS).sum()) for trial in trials)
    found = sum(int(one.sum()) for one in sure)
    share = found / judged if judged else 0.0
    if share >= _RESPONSES:
        yield reason(
            "cached_responses",
            Level.INVALID if share >= _INVALID else Level.SUSPECT,
            f"{found} of {judged} answers ({share:.1%}) were whole far sooner than an engine makes them at the pace of "
            "the others: they came from a cache, not from the engine.",
            answers=found,
            share=share,
            limit=_RESPONSES,
        )


def _is_from_cache(trial: Trial) -> Bools:
    """Whole answers that took less than a twentieth of what their tokens take at the pace of the slower ones.

    The 90th percentile of TPOT is the pace, so that many cached answers do not hide each other; where all are cached
    only the absolute bound is left. An answer that was held back and came in one piece took its time, and is none.
    """
    tokens = trial.requests.tokens_delivered
    took_s = trial.latencies.e2e_service / 1e3
    paces = trial.latencies.samples("tpot") / 1e3
    pace_s = float(np.quantile(paces, 0.9)) if len(paces) else 0.0
    least_s: Floats = np.maximum(_USUAL_SHARE * pace_s * (tokens - 1), tokens / _FASTEST_TOKENS_PER_S)
    return trial.counted & (tokens >= _MIN_TOKENS) & (took_s >= 0) & (took_s < least_s)


def _cut(trials: Sequence[Trial]) -> Iterator[Reason]:
    attempted = _attempted(trials)
    cut = sum(int((trial.requests.cut & trial.attempted).sum()) for trial in trials)
    share = cut / attempted if attempted else 0.0
    if share > _CUT:
        yield reason(
            "truncated_output",
            Level.INVALID if share > _INVALID else Level.SUSPECT,
            f"{cut} of {attempted} answers ({share:.1%}) were cut: they broke off, or ended by length before the "
            "length that was asked.",
            answers=cut,
            share=share,
            limit=_CUT,
        )


def _restarts(trials: Sequence[Trial]) -> Iterator[Reason]:
    again = [trial.requests.trial + 1 for trial in trials if trial.facts is not None and trial.facts.server_restarted]
    if again:
        named = ", ".join(map(str, again))
        yield reason(
            "server_restarted",
            Level.INVALID,
            f"The server began anew within trial {named}: its counters or its process are not those from the start, so "
            "part of the load met a cold server.",
            trials=len(again),
        )


def _attempted(trials: Sequence[Trial]) -> int:
    return sum(int(trial.attempted.sum()) for trial in trials)


def _total(trials: Sequence[Trial], name: str) -> float:
    return float(np.nansum(joined([getattr(trial.requests, name)[trial.counted] for trial in trials])))
