"""Doubts about the server: errors, cached work, answers of another length, tokens that are counted two ways."""

from collections.abc import Iterator, Sequence

import numpy as np

from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.trials import Trial
from tokenforge.analysis.validity_client import joined

_ERRORS = 0.01
_ERRORS_INVALID = 0.10
_MISCOUNTED = 0.01
_CACHED = 0.01
_CACHED_INVALID = 0.10


def doubt_server(run: RunFacts, trials: Sequence[Trial]) -> Iterator[Reason]:
    """Did the server answer, and do the work it was asked for?"""
    attempted = sum(int(trial.attempted.sum()) for trial in trials)
    failed = attempted - sum(int(trial.counted.sum()) for trial in trials)
    share = failed / attempted if attempted else 0.0
    if share > _ERRORS:
        yield reason(
            "errors",
            Level.INVALID if share > _ERRORS_INVALID else Level.SUSPECT,
            f"{failed} of {attempted} requests failed ({share:.1%}); latencies are of the others, the easier ones.",
            "See the outcomes and the engine's log; lower the rate or raise the limits.",
            errors=failed,
            requests=attempted,
            limit=_ERRORS,
        )
    cached = _total(trials, "cached_tokens") / max(1.0, _total(trials, "prompt_tokens"))
    if cached >= _CACHED and not run.workload.has_shared_prompts:
        yield reason(
            "warm_prefix_cache",
            Level.INVALID if cached >= _CACHED_INVALID else Level.SUSPECT,
            f"{cached:.1%} of prompt tokens came from a prefix cache, though the workload shares no prefix.",
            "Restart the engine or switch its prefix cache off.",
            cached_share=cached,
            limit=_CACHED,
        )
    backwards = sum(int((t.latencies.samples("ttft_service") < 0).sum()) for t in trials)
    if backwards:
        yield reason(
            "clock_step",
            Level.INVALID,
            f"{backwards} answers came before their request was sent: stamps are not of one clock.",
            "Measure with one monotonic clock on one machine.",
            requests=backwards,
        )


def doubt_tokens(run: RunFacts, trials: Sequence[Trial]) -> Iterator[Reason]:
    """Are answers as long as asked, and do the ways of counting them agree?"""
    other, asked, given = _differ(trials, "output_tokens", "asked_output_tokens")
    if other > _MISCOUNTED:
        yield reason(
            "output_length",
            Level.SUSPECT,
            f"{other:.1%} of answers have another length than asked (mean {given:.1f} tokens, asked {asked:.1f}).",
            "Compare only with runs whose answers are as long; use a runtime that can ignore the end token.",
            share=other,
            mean_tokens=given,
            asked_tokens=asked,
        )
    miscounted, usage, counted = _differ(trials, "counted_tokens", "output_tokens")
    if miscounted > _MISCOUNTED:
        yield reason(
            "token_count",
            Level.SUSPECT if run.token_level else Level.NOTE,
            f"In {miscounted:.1%} of answers the stream held another number of tokens than the server's usage says "
            f"(mean {counted:.1f} against {usage:.1f}).",
            "Ask the server for usage in every chunk; token rates follow its usage, ITL the chunks.",
            share=miscounted,
        )
    chunks = sum(int(t.requests.chunk_counts.sum()) for t in trials)
    held = sum(float(t.requests.chunk_tokens.sum()) for t in trials) / max(1, chunks)
    if held > 1.05:
        yield reason(
            "multi_token_chunks",
            Level.NOTE,
            f"A chunk held {held:.2f} tokens in the mean; ITL spreads each gap over its tokens.",
            "Nothing to do; see the raw chunk gaps for what a reader sees.",
            tokens_per_chunk=held,
        )


def _differ(trials: Sequence[Trial], name: str, against: str) -> tuple[float, float, float]:
    """Share of counted requests whose two token counts differ; then the means of `against` and `name`."""
    left = joined([getattr(t.requests, name)[t.counted] for t in trials])
    right = joined([getattr(t.requests, against)[t.counted] for t in trials])
    known = ~np.isnan(left) & ~np.isnan(right)
    if not bool(known.any()):
        return 0.0, 0.0, 0.0
    return float((left[known] != right[known]).mean()), float(right[known].mean()), float(left[known].mean())


def _total(trials: Sequence[Trial], name: str) -> float:
    return sum(float(np.nansum(getattr(trial.requests, name)[trial.counted])) for trial in trials)
