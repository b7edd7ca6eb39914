"""Client's stamps against the null server's log, answer by answer. Pure.

Only differences within one answer are compared, so no common origin is needed: TTFT from the send against hand-over
minus arrival, each gap of chunks against its true one. The two ways a TTFT can be wrong, a send stamped too early and a
chunk stamped too late, add up and cannot cancel out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tokenforge.bench.calibration.truth import TrueAnswer
from tokenforge.domain.calibration import StampError
from tokenforge.domain.record import Outcome, RequestRecord

UNSURE_NS = 100_000
"""A hand-over that lasted longer than this was held up in the null server, so its exact time is not known."""


@dataclass(slots=True, kw_only=True)
class Compared:
    """Errors in ns, client minus truth. `missing` are answers of which one side knows nothing, or another length."""

    ttft_ns: list[int] = field(default_factory=list)
    itl_ns: list[int] = field(default_factory=list)
    matched: int = 0
    missing: int = 0
    chunks: int = 0
    unsure: int = 0

    @property
    def unsure_share(self) -> float:
        """Chunks that were left out, as a share of all."""
        return self.unsure / self.chunks if self.chunks else 0.0


def compare(records: Iterable[RequestRecord], truth: Sequence[TrueAnswer]) -> Compared:
    """Compare every record with the answer that its index names."""
    found = Compared()
    by_prompt = {answer.prompt: answer for answer in truth}
    for record in records:
        answer = by_prompt.get(record.index)
        whole = record.outcome is Outcome.OK and record.sent_ns is not None
        if answer is None or not whole or len(record.chunk_ns) != len(answer.handed_ns):
            found.missing += 1
        else:
            _compare_one(record, answer, found)
    return found


def stamp_error(errors_ns: Sequence[int]) -> StampError | None:
    """The spread of errors; None of nothing. Quantiles are nearest ranks from above: no value that was not seen."""
    if not errors_ns:
        return None
    errors = np.asarray(errors_ns, dtype=np.float64) / 1e6
    sizes = np.abs(errors)
    return StampError(
        count=len(errors),
        p50_ms=float(np.median(errors)),
        p99_ms=float(np.quantile(sizes, 0.99, method="higher")),
        max_ms=float(sizes.max()),
    )


def _compare_one(record: RequestRecord, answer: TrueAnswer, found: Compared) -> None:
    seen, true = np.asarray(record.chunk_ns, dtype=np.int64), np.asarray(answer.handed_ns, dtype=np.int64)
    sure = np.asarray(answer.took_ns, dtype=np.int64) <= UNSURE_NS
    found.matched += 1
    found.chunks += len(true)
    found.unsure += int((~sure).sum())
    if sure[0] and record.sent_ns is not None:
        true_ttft = int(true[0]) - answer.arrival_ns
        found.ttft_ns.append(int(seen[0]) - record.sent_ns - true_ttft)
    errors = np.diff(seen) - np.diff(true)
    found.itl_ns.extend(errors[sure[1:] & sure[:-1]].tolist())
