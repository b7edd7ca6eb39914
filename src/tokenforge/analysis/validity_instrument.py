"""Doubts about the instrument: arrivals of another law, a client that measures wrongly, reads that blur, clocks."""

from collections.abc import Iterator, Sequence

import numpy as np

from tokenforge.analysis.arrival_test import LEAST_DISTANCE, worst_arrivals
from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.instrument import InstrumentReading
from tokenforge.analysis.requests import Floats
from tokenforge.analysis.trials import Trial

_ERROR_FLOOR_MS = 1.0
_ERROR_SHARE = 0.05
_MERGED = 0.05
_GC_PAUSE_MS = 5.0


def doubt_instrument(reading: InstrumentReading, trials: Sequence[Trial]) -> Iterator[Reason]:
    """Is what was measured what came to pass?"""
    yield from _arrivals(reading)
    yield from _calibrated(reading, trials)
    yield from _merged(reading)
    yield from _clock(reading)
    pause = reading.gc_pause_max_ms
    if pause is not None and pause > _GC_PAUSE_MS:
        yield reason(
            "gc_pause",
            Level.NOTE,
            f"The load generator stood still for {pause:.1f} ms to collect garbage; sends due then were late.",
            gc_pause_max_ms=pause,
            limit_ms=_GC_PAUSE_MS,
        )


def _arrivals(reading: InstrumentReading) -> Iterator[Reason]:
    off = worst_arrivals(reading.arrivals)
    if off is None or off.distance is None:
        return
    if off.p is None:
        what = f"{off.distance:.0%} of {off.gaps} gaps between sends differ from the planned ones"
    else:
        what = f"{off.gaps} gaps between sends do not follow the {off.law} law that was asked (KS p = {off.p:.1g})"
    yield reason(
        "arrivals_off",
        Level.SUSPECT,
        f"In trial {off.trial + 1}, {what}: the server met another load than the workload says.",
        p=off.p,
        distance=off.distance,
        limit=LEAST_DISTANCE,
    )


def _calibrated(reading: InstrumentReading, trials: Sequence[Trial]) -> Iterator[Reason]:
    found = reading.calibration
    if found is None:
        return
    if found.cause is not None:
        yield reason(
            "not_calibrated",
            Level.NOTE,
            f"The load generator's own error is not known: {found.cause}.",
        )
    for name, error_ms, metric in (
        ("TTFT", found.ttft_p99_ms, "ttft_service"),
        ("ITL", found.itl_p99_ms, "chunk_gap"),
    ):
        typical_ms = _median(trials, metric)
        limit_ms = max(_ERROR_FLOOR_MS, _ERROR_SHARE * (typical_ms or 0.0))
        if error_ms is not None and typical_ms is not None and error_ms > limit_ms:
            yield reason(
                "instrument_error",
                Level.INVALID,
                f"Against a server of known truth at this load, 1 % of {name} values were off by {error_ms:.2f} ms or "
                f"more; the limit is {limit_ms:.2f} ms, since the median here is {typical_ms:.2f} ms.",
                metric=name,
                error_p99_ms=error_ms,
                limit_ms=limit_ms,
            )


def _merged(reading: InstrumentReading) -> Iterator[Reason]:
    share = reading.merged_read_share
    if share is not None and share > _MERGED:
        yield reason(
            "merged_reads",
            Level.SUSPECT,
            f"{share:.1%} of reads brought several chunks at once, which then share one stamp: ITL is blurred (TTFT, "
            "TPOT and throughput are not).",
            merged_read_share=share,
            limit=_MERGED,
        )


def _clock(reading: InstrumentReading) -> Iterator[Reason]:
    if reading.clock_steps:
        yield reason(
            "clock_stepped",
            Level.NOTE,
            f"The wall clock was set {reading.clock_steps} times during the trials. Stamps are of the monotonic clock; "
            "the kernel's, which are not, were corrected or left out.",
            steps=reading.clock_steps,
        )


def _median(trials: Sequence[Trial], metric: str) -> float | None:
    parts: list[Floats] = [trial.latencies.samples(metric) for trial in trials]
    values = np.concatenate(parts) if parts else np.empty(0)
    return float(np.median(values)) if len(values) else None
