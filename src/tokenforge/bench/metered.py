"""An observer that counts: what the journals say goes to the load generator's page of metrics, then to who watches.

Only trials are counted, as only trials are in the record: neither warming up nor calibration.
"""

import struct
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenforge.bench.driver.job import Progress
from tokenforge.bench.observe import Observer, TrialStart
from tokenforge.bench.record_bytes import FIXED, FIXED_FIELDS, NO_COUNT, NO_STAMP, OUTCOMES, STAMP_BYTES
from tokenforge.domain.record import Outcome
from tokenforge.domain.workload import Slo
from tokenforge.telemetry.benchmark_metrics import BenchmarkMetrics, EndedRequests

_FIXED_TYPE = np.dtype([(name, "<" + code) for name, code in FIXED_FIELDS])
_STAMP = struct.Struct("<q")
Floats = npt.NDArray[np.float64]
_PLANNED = np.array([outcome is Outcome.HUNG_UP for outcome in OUTCOMES])


class MeteredObserver:
    """Passes everything on to `inner`; `metrics` get what ends within trials."""

    def __init__(self, inner: Observer, metrics: BenchmarkMetrics) -> None:
        self._inner = inner
        self._metrics = metrics
        self._start: TrialStart | None = None
        self._sent = 0

    def phase(self, subject: str, text: str) -> None:
        """Pass it on."""
        self._inner.phase(subject, text)

    def trial_started(self, start: TrialStart) -> None:
        """From here on requests are counted."""
        self._close()
        self._start, self._sent = start, 0
        self._metrics.begin(start.runtime, start.workload, trial=start.trial, rate=start.asked_rate)
        self._inner.trial_started(start)

    def progress(self, progress: Progress) -> None:
        """Count what is new."""
        start = self._start
        if start is not None:
            names = (start.runtime, start.workload)
            self._metrics.sent(*names, more=progress.sent - self._sent, in_flight=progress.in_flight)
            self._sent = progress.sent
            if progress.ended:
                self._metrics.take(*names, read_ended(progress.ended, slo=start.slo))
        self._inner.progress(progress)

    def trial_finished(self, start: TrialStart, *, requests: int, errors: int) -> None:
        """No more is counted until the next trial."""
        self._close()
        self._inner.trial_finished(start, requests=requests, errors=errors)

    def _close(self) -> None:
        if self._start is not None:
            self._metrics.end(self._start.runtime, self._start.workload)
            self._start = None


def read_ended(payloads: Sequence[bytes], *, slo: Slo | None) -> EndedRequests:
    """Records as columns, with the definitions of `analysis.latency`: times of those that ended well alone."""
    fixed = np.frombuffer(b"".join([payload[: FIXED.size] for payload in payloads]), _FIXED_TYPE)
    ok = fixed["outcome"] == OUTCOMES.index(Outcome.OK)
    due, sent, first, end = (_stamps(fixed, name) for name in ("scheduled_ns", "sent_ns", "first_ns", "end_ns"))
    start = np.where(np.isnan(due), sent, due)
    last = np.array([_last_chunk(payload, chunks) for payload, chunks in zip(payloads, fixed["chunks"], strict=True)])
    tokens = fixed["output_tokens"].astype(np.float64)
    ttft = np.where(ok, first - start, np.nan)
    tpot = np.where(ok & (tokens > 1), (last - first) / np.maximum(tokens - 1, 1), np.nan)
    duration = np.where(ok, end - start, np.nan)
    judged = ~_PLANNED[fixed["outcome"]]
    good = judged & ok & _kept(slo, ttft, tpot, duration)
    has_slo = slo is not None
    return EndedRequests(
        outcomes=Counter(str(OUTCOMES[code]) for code in fixed["outcome"].tolist()),
        ttft_s=ttft / 1e9,
        tpot_s=tpot / 1e9,
        duration_s=duration / 1e9,
        lag_s=(sent - due) / 1e9,
        prompt_tokens=_total(fixed, "prompt_tokens"),
        output_tokens=_total(fixed, "output_tokens"),
        good=int(good.sum()) if has_slo else None,
        bad=int((judged & ~good).sum()) if has_slo else None,
    )


def _kept(slo: Slo | None, ttft: Floats, tpot: Floats, duration: Floats) -> npt.NDArray[np.bool_]:
    """Whether every limit that is set was met; an answer that shows no pace breaks none."""
    kept = np.ones(len(ttft), np.bool_)
    if slo is None:
        return kept
    for limit_ms, values in ((slo.ttft_ms, ttft), (slo.e2e_ms, duration)):
        if limit_ms is not None:
            kept &= values <= limit_ms * 1e6
    if slo.tpot_ms is not None:
        kept &= ~(tpot > slo.tpot_ms * 1e6)
    return kept


def _stamps(fixed: npt.NDArray[np.void], name: str) -> Floats:
    stamps = fixed[name]
    return np.where(stamps == NO_STAMP, np.nan, stamps.astype(np.float64))


def _total(fixed: npt.NDArray[np.void], name: str) -> int:
    counts = fixed[name]
    return int(counts[counts != NO_COUNT].sum(dtype=np.int64))


def _last_chunk(payload: bytes, chunks: int) -> float:
    if chunks < 2:  # one chunk shows no pace
        return float("nan")
    stamp: int = _STAMP.unpack_from(payload, FIXED.size + STAMP_BYTES * (int(chunks) - 1))[0]
    return float(stamp)
