"""Doubts about tokens: answers of another length than asked, counts that contradict each other, chunks of several."""

from collections.abc import Iterator, Sequence

import numpy as np

from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.trials import Trial
from tokenforge.analysis.validity_client import joined

_OTHER_LENGTH = 0.01
_MISCOUNTED = 0.01
_SEVERAL = 1.05


def doubt_tokens(run: RunFacts, trials: Sequence[Trial]) -> Iterator[Reason]:
    """Are answers as long as asked, and do the ways of counting them agree?"""
    yield from _counts(run, trials)
    yield from _lengths(trials)
    chunks = sum(int(t.requests.chunk_counts.sum()) for t in trials)
    held = sum(float(t.requests.chunk_tokens.sum()) for t in trials) / max(1, chunks)
    if held > _SEVERAL:
        yield reason(
            "multi_token_chunks",
            Level.NOTE,
            f"A chunk held {held:.2f} tokens in the mean; ITL spreads each gap over its tokens.",
            tokens_per_chunk=held,
            limit=_SEVERAL,
        )


def _lengths(trials: Sequence[Trial]) -> Iterator[Reason]:
    """Answers that were cut have a code of their own."""
    whole = [trial.counted & ~trial.requests.cut for trial in trials]
    given = joined([trial.requests.output_tokens[mask] for trial, mask in zip(trials, whole, strict=True)])
    asked = joined([trial.requests.asked_output_tokens[mask] for trial, mask in zip(trials, whole, strict=True)])
    known = ~np.isnan(given) & ~np.isnan(asked)
    share = float((given[known] != asked[known]).mean()) if bool(known.any()) else 0.0
    if share > _OTHER_LENGTH:
        mean, wanted = float(given[known].mean()), float(asked[known].mean())
        yield reason(
            "output_length",
            Level.SUSPECT,
            f"{share:.1%} of answers have another length than asked (mean {mean:.1f} tokens, asked {wanted:.1f}).",
            share=share,
            mean_tokens=mean,
            asked_tokens=wanted,
            limit=_OTHER_LENGTH,
        )


def _counts(run: RunFacts, trials: Sequence[Trial]) -> Iterator[Reason]:
    """Usage against the stream (its sum, its chunks) and against the limit that the request set."""
    usage, counted, asked, chunks = (
        joined([getattr(trial.requests, name)[trial.counted] for trial in trials])
        for name in ("output_tokens", "counted_tokens", "asked_output_tokens", "chunk_counts")
    )
    known = ~np.isnan(usage)
    if not bool(known.any()):
        return
    differs = known & (counted != usage)
    impossible = known & ((chunks > usage) | (usage > asked))
    share = float((differs | impossible)[known].mean())
    if share > _MISCOUNTED:
        cannot_be = float(impossible[known].mean())
        yield reason(
            "token_count",
            Level.SUSPECT if run.token_level or cannot_be > _MISCOUNTED else Level.NOTE,
            f"In {share:.1%} of answers the server's usage contradicts what came: in the mean it says "
            f"{float(usage[known].mean()):.1f} tokens, the stream held {float(counted[known].mean()):.1f} in "
            f"{float(chunks[known].mean()):.1f} chunks, and {float(asked[known].mean()):.1f} were the limit.",
            share=share,
            impossible_share=cannot_be,
            limit=_MISCOUNTED,
        )
