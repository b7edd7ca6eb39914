"""What a worker tells of its own time: durations of one clock, only those that can be true."""

import time

import pytest

from tokenforge.domain.generation import Chunk, Usage
from tokenforge.worker.stopwatch import Stopwatch

USAGE = Usage(prompt_tokens=3, completion_tokens=1)


def test_queue_and_prefill_are_told_where_the_engine_stamped() -> None:
    watch = Stopwatch()
    watch.submit()
    assert watch.submitted_ns is not None
    taken, made = watch.submitted_ns, time.monotonic_ns()
    watch.note(Chunk(token_ids=(5,), usage=USAGE, made_ns=made, scheduled_ns=taken))
    told = watch.timing()
    assert told is not None
    assert (told.queue_ns, told.prefill_ns) == (0, made - taken)
    assert told.first_token_ns >= made - watch.started_ns


@pytest.mark.parametrize("scheduled_ns", [None, 1, 2**62])
def test_a_stamp_that_is_not_there_or_cannot_be_true_is_not_told(scheduled_ns: int | None) -> None:
    watch = Stopwatch()
    watch.submit()
    watch.note(Chunk(token_ids=(5,), usage=USAGE, made_ns=time.monotonic_ns(), scheduled_ns=scheduled_ns))
    told = watch.timing()
    assert told is not None
    assert (told.queue_ns, told.prefill_ns) == (None, None)


def test_the_first_token_counts_and_not_an_empty_chunk_before_it() -> None:
    watch = Stopwatch()
    watch.note(Chunk(usage=USAGE, made_ns=time.monotonic_ns()))
    assert watch.timing() is None
    watch.note(Chunk(token_ids=(5,), usage=USAGE, made_ns=time.monotonic_ns()))
    first = watch.timing()
    watch.note(Chunk(token_ids=(6,), usage=USAGE, made_ns=time.monotonic_ns()))
    assert watch.timing() == first
