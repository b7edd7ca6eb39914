"""Request records as arrays: one trial of one run, a number per request, absent as NaN.

Numpy on whole columns, because a run may hold a million requests; and chunks, dozens per request, are read anew in
pieces wherever they are needed instead of being kept. Stamps stay nanoseconds from the trial's start; as float64 they
are exact for 104 days. Nothing is dropped here: warm-up and failures are masks, not missing rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenforge.domain.generation import FinishReason
from tokenforge.domain.record import Outcome

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_STAMPS = ("scheduled_ns", "sent_ns", "first_ns", "end_ns")
_ASKED = ("asked_prompt_tokens", "asked_output_tokens")
_COUNTS = ("prompt_tokens", "cached_tokens", "output_tokens", "counted_tokens")
_TOLD = ("server_first_ns", "server_queue_ns", "server_prefill_ns", "gateway_ns")
_NUMBERS = (*_STAMPS, *_ASKED, *_COUNTS, *_TOLD)


class Requests(Protocol):
    """All requests of a benchmark, as rows in pieces of a bounded size (`store.requests_table.RequestsFile`)."""

    def trials(self, run_id: str) -> Sequence[int]:
        """The trials that have rows of this run, by number."""

    def batches(self, run_id: str, trial: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns of all rows of a trial, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """The chunks of neighbouring requests, flat. `owner` is for each chunk the row of its request in the trial."""

    ns: Ints
    tokens: npt.NDArray[np.int32]
    owner: Ints

    @property
    def is_first(self) -> Bools:
        """Chunks that are the first of their request."""
        return np.concatenate(([True], self.owner[1:] != self.owner[:-1])) if len(self.owner) else np.empty(0, np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequests:
    """All requests of one trial. `ok` marks those that ended well, `hung_up` those that the client left as planned.

    `cut` marks answers that broke off (or ended in an error after their first token), and those that ended well "by
    length" with fewer tokens than asked.
    `outcomes` counts all of them by how they ended.
    `chunk_counts`, `chunk_tokens` (the sum of what the chunks held) and `last_chunk_ns` sum up a request's chunks; the
    chunks themselves come from `chunks()`.
    """

    trial: int
    scheduled_ns: Floats
    sent_ns: Floats
    first_ns: Floats
    end_ns: Floats
    asked_prompt_tokens: Floats
    asked_output_tokens: Floats
    prompt_tokens: Floats
    cached_tokens: Floats
    output_tokens: Floats
    counted_tokens: Floats
    server_first_ns: Floats
    server_queue_ns: Floats
    server_prefill_ns: Floats
    gateway_ns: Floats
    chunk_counts: Ints
    chunk_tokens: Floats
    last_chunk_ns: Floats
    ok: Bools
    hung_up: Bools
    cut: Bools
    outcomes: Mapping[str, int]
    source: Requests
    run_id: str

    def __len__(self) -> int:
        return len(self.sent_ns)

    def chunks(self) -> Iterator[Chunks]:
        """Every chunk in the order of requests, piece by piece; a request's chunks are in one piece. Reads the file."""
        return _chunks(self.source, self.run_id, self.trial)

    @property
    def arrival_ns(self) -> Floats:
        """When a request was due: its schedule in an open loop, its send in a closed one."""
        return np.where(np.isnan(self.scheduled_ns), self.sent_ns, self.scheduled_ns)

    @property
    def tokens_delivered(self) -> Floats:
        """Output tokens per request: the server's usage, or what the chunks held where it gave none."""
        return np.where(np.isnan(self.output_tokens), self.chunk_tokens, self.output_tokens)


def trials_of(source: Requests, run_id: str) -> Iterator[TrialRequests]:
    """The trials of one run, by number; a run without rows has none."""
    return (_trial(source, run_id, trial) for trial in source.trials(run_id))


def filled(parts: Iterator[Floats], *, most: int) -> Floats:
    """Parts as one array, without holding both; together they have at most `most` values."""
    whole, end = np.empty(most), 0
    for part in parts:
        whole[end : end + len(part)] = part
        end += len(part)
    return whole[:end]


def _trial(source: Requests, run_id: str, trial: int) -> TrialRequests:
    rows = pa.Table.from_batches(source.batches(run_id, trial, [*_NUMBERS, "outcome", "finish_reason"]))
    counts, tokens, last_ns = _chunk_sums(source, run_id, trial)
    numbers = {name: _floats(rows, name) for name in _NUMBERS}
    is_short = np.maximum(numbers["output_tokens"], counts) < numbers["asked_output_tokens"]
    ok = _is(rows, "outcome", Outcome.OK)
    broke_off = _is(rows, "outcome", Outcome.TRUNCATED) | (_is(rows, "outcome", Outcome.HTTP_ERROR) & (counts > 0))
    return TrialRequests(
        trial=trial,
        ok=ok,
        hung_up=_is(rows, "outcome", Outcome.HUNG_UP),
        cut=broke_off | (ok & is_short & _is(rows, "finish_reason", FinishReason.LENGTH)),
        outcomes=_counts(rows, "outcome"),
        chunk_counts=counts,
        chunk_tokens=tokens,
        last_chunk_ns=last_ns,
        source=source,
        run_id=run_id,
        **numbers,
    )


def _chunk_sums(source: Requests, run_id: str, trial: int) -> tuple[Ints, Floats, Floats]:
    """Per request: how many chunks, the tokens in them, and the stamp of the last."""
    counts, tokens, last_ns = [], [], []
    for batch in source.batches(run_id, trial, ["chunk_ns", "chunk_tokens"]):
        lengths, ns, held = _lists(batch)
        ends = np.cumsum(lengths)
        total = np.concatenate(([0], np.cumsum(held, dtype=np.int64)))
        counts.append(lengths)
        tokens.append((total[ends] - total[ends - lengths]).astype(np.float64))
        last = np.full(len(lengths), np.nan)
        last[lengths > 0] = ns[ends[lengths > 0] - 1]
        last_ns.append(last)
    return np.concatenate(counts), np.concatenate(tokens), np.concatenate(last_ns)


def _chunks(source: Requests, run_id: str, trial: int) -> Iterator[Chunks]:
    row = 0
    for batch in source.batches(run_id, trial, ["chunk_ns", "chunk_tokens"]):
        lengths, ns, tokens = _lists(batch)
        owner = np.repeat(np.arange(row, row + len(lengths), dtype=np.int64), lengths)
        yield Chunks(ns=ns, tokens=tokens, owner=owner)
        row += len(lengths)


def _lists(batch: pa.RecordBatch) -> tuple[Ints, Ints, npt.NDArray[np.int32]]:
    """Chunks per request, and their stamps and tokens, flat."""
    ns, tokens = batch["chunk_ns"], batch["chunk_tokens"]
    lengths = np.asarray(pc.fill_null(pc.list_value_length(ns), 0), dtype=np.int64)
    return lengths, np.asarray(pc.list_flatten(ns)), np.asarray(pc.list_flatten(tokens))


def _counts(rows: pa.Table, name: str) -> Mapping[str, int]:
    """How often each word of a column is there, by word."""
    found = rows[name].value_counts()
    words, counts = found.field("values").to_pylist(), found.field("counts").to_numpy()
    return dict(sorted(zip(map(str, words), counts.tolist(), strict=True)))


def _is(rows: pa.Table, name: str, word: str) -> Bools:
    """Where a column of text has this word; nothing is not the word."""
    return np.asarray(pc.is_in(rows[name], value_set=pa.array([str(word)])).to_numpy(), dtype=np.bool_)


def _floats(rows: pa.Table, name: str) -> Floats:
    return np.asarray(pc.cast(rows[name], pa.float64(), safe=False).to_numpy(), dtype=np.float64)
