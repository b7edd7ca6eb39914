"""Request records as arrays: one trial of one run, a number per request, absent as NaN.

Numpy on whole columns, because a run may hold a million requests. Stamps stay nanoseconds from the trial's start; as
float64 they are exact for 104 days. Nothing is dropped here: warm-up and failures are masks, not missing rows.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenforge.domain.record import Outcome

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequests:
    """All requests of one trial. Chunks lie flat: request i has `chunk_ns[offsets[i]:offsets[i + 1]]`.

    `ok` marks requests that ended well; `outcomes` counts all of them by how they ended.
    """

    trial: int
    scheduled_ns: Floats
    sent_ns: Floats
    first_ns: Floats
    end_ns: Floats
    offsets: Ints
    chunk_ns: Floats
    chunk_tokens: Floats
    asked_prompt_tokens: Floats
    asked_output_tokens: Floats
    prompt_tokens: Floats
    cached_tokens: Floats
    output_tokens: Floats
    counted_tokens: Floats
    ok: Bools
    outcomes: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.sent_ns)

    @property
    def arrival_ns(self) -> Floats:
        """When a request was due: its schedule in an open loop, its send in a closed one."""
        return np.where(np.isnan(self.scheduled_ns), self.sent_ns, self.scheduled_ns)

    @property
    def chunk_owner(self) -> Ints:
        """For each chunk, the row of its request."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.offsets))

    @property
    def tokens_delivered(self) -> Floats:
        """Output tokens per request: the server's usage, or what the chunks held where it gave none."""
        sums = np.bincount(self.chunk_owner, weights=self.chunk_tokens, minlength=len(self))
        return np.where(np.isnan(self.output_tokens), sums, self.output_tokens)


def trials_of(table: pa.Table, run_id: str) -> tuple[TrialRequests, ...]:
    """The trials of one run, by number; a run without rows has none."""
    rows = table.filter(pc.equal(table["run_id"], pa.scalar(run_id)))
    numbers = np.unique(_floats(rows, "trial")).astype(np.int64).tolist()
    return tuple(_trial(rows.filter(pc.equal(rows["trial"], pa.scalar(one, pa.int32()))), one) for one in numbers)


def _trial(rows: pa.Table, number: int) -> TrialRequests:
    names = ("scheduled_ns", "sent_ns", "first_ns", "end_ns", "asked_prompt_tokens", "asked_output_tokens")
    counts = ("prompt_tokens", "cached_tokens", "output_tokens", "counted_tokens")
    columns = {name: _floats(rows, name) for name in (*names, *counts)}
    lengths = np.nan_to_num(pc.list_value_length(rows["chunk_ns"]).to_numpy()).astype(np.int64)
    return TrialRequests(
        trial=number,
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        chunk_ns=_flat(rows, "chunk_ns"),
        chunk_tokens=_flat(rows, "chunk_tokens"),
        ok=np.asarray(pc.equal(rows["outcome"], pa.scalar(str(Outcome.OK))).to_numpy(), dtype=np.bool_),
        outcomes=dict(sorted(Counter(str(outcome) for outcome in rows["outcome"].to_pylist()).items())),
        **columns,
    )


def _floats(rows: pa.Table, name: str) -> Floats:
    return np.asarray(pc.cast(rows[name], pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _flat(rows: pa.Table, name: str) -> Floats:
    return np.asarray(pc.list_flatten(rows[name]).to_numpy(), dtype=np.float64)
