"""What the driver says of itself: from records and heartbeats to a `DriverReading`, and to live `Progress`."""

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tokenforge.bench.driver.job import Progress
from tokenforge.bench.driver.lag_histogram import LagHistogram
from tokenforge.bench.journal import HEARTBEAT, RECORD, Heartbeat, JournalTail, decode_heartbeat
from tokenforge.bench.record_bytes import decode_milestones
from tokenforge.bench.trial_records import Ints, TrialRecords
from tokenforge.domain.benchmark_record import DriverReading
from tokenforge.domain.plan import TrialPlan

_RECENT = 200
_KERNEL_SHARE = 0.99


def driver_reading(
    *, plan: TrialPlan, recorded: TrialRecords, beats: Sequence[Heartbeat], processes: int
) -> DriverReading:
    """`beats` are the last heartbeats of each process. CPU is the busiest process's share of a core."""
    lags = recorded.lags_ns()
    lags.sort()
    merged = int(recorded.column("merged_reads").sum())
    stamped = sum(beat.reads for beat in beats)
    reasons = [beat.stopped_early for beat in beats if beat.stopped_early]
    return DriverReading(
        processes=processes,
        asked_rate=asked_rate(plan),
        sent=recorded.sent,
        lag_p50_ms=_quantile_ms(lags, 0.5),
        lag_p99_ms=_quantile_ms(lags, 0.99),
        lag_max_ms=_quantile_ms(lags, 1.0),
        cpu_share=max((beat.cpu_ns / beat.at_ns for beat in beats if beat.at_ns > 0), default=0.0),
        gc_pause_max_ms=max((beat.gc_pause_max_ns for beat in beats), default=0) / 1e6,
        merged_read_share=merged / recorded.token_reads if recorded.token_reads else 0.0,
        kernel_stamps=stamped > 0 and sum(beat.user_stamps for beat in beats) <= (1 - _KERNEL_SHARE) * stamped,
        stopped_early=reasons[0] if reasons else None,
        clock_steps=max((beat.clock_steps for beat in beats), default=0),
        retried=sum(beat.retried for beat in beats),
        loop_delay_max_ms=max((beat.loop_delay_max_ns / 1e6 for beat in beats), default=None),
        loop_stalled_s=max((beat.loop_stalled_ns / 1e9 for beat in beats), default=None),
    )


def asked_rate(plan: TrialPlan) -> float | None:
    """Requests/s that an open loop's plan asks for, by its first and last arrival; None in a closed loop."""
    times = [request.at_ns for request in plan.requests if request.at_ns is not None]
    if len(times) < 2 or times[-1] == times[0]:
        return None
    return (len(times) - 1) / (times[-1] - times[0]) * 1e9


class Watcher:
    """Follows the journals of a running trial. What it keeps does not grow with the number of requests."""

    def __init__(self, journals: Sequence[Path]) -> None:
        self._tails = [JournalTail(path) for path in journals]
        self._beats: dict[int, Heartbeat] = {}
        self._recent_ttfts: deque[int] = deque(maxlen=_RECENT)
        self._lags = LagHistogram()

    @property
    def beats(self) -> tuple[Heartbeat, ...]:
        """The last heartbeat of every process that sent one."""
        return tuple(self._beats.values())

    def look(self, *, elapsed_s: float) -> Progress:
        """Read what is new and sum up."""
        ended: list[bytes] = []
        for process, tail in enumerate(self._tails):
            for kind, payload in tail.poll():
                if kind == HEARTBEAT:
                    self._beats[process] = decode_heartbeat(payload)
                elif kind == RECORD:
                    self._note(payload)
                    ended.append(payload)
        beats = self._beats.values()
        return Progress(
            elapsed_s=elapsed_s,
            sent=sum(beat.sent for beat in beats),
            finished=sum(beat.finished for beat in beats),
            errors=sum(beat.errors for beat in beats),
            in_flight=sum(beat.in_flight for beat in beats),
            output_tokens=sum(beat.tokens for beat in beats),
            ttft_recent_p50_ms=_quantile_ms(sorted(self._recent_ttfts), 0.5),
            lag_p99_ms=self._lags.quantile_ms(0.99),
            ended=tuple(ended),
        )

    def _note(self, payload: bytes) -> None:
        seen = decode_milestones(payload)
        start = seen.scheduled_ns if seen.scheduled_ns is not None else seen.sent_ns
        if start is not None and seen.first_ns is not None:
            self._recent_ttfts.append(seen.first_ns - start)
        if seen.scheduled_ns is not None and seen.sent_ns is not None:
            self._lags.add(seen.sent_ns - seen.scheduled_ns)


def _quantile_ms(ordered: Sequence[int] | Ints, share: float) -> float | None:
    """The nearest-rank quantile of sorted ns, in ms; None of nothing."""
    if not len(ordered):
        return None
    return int(ordered[max(0, math.ceil(share * len(ordered)) - 1)]) / 1e6
