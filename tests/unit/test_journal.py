"""The journal: what was written whole comes back whole, wherever the file was cut."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.bench.journal import (
    HEARTBEAT,
    RECORD,
    Heartbeat,
    JournalTail,
    JournalWriter,
    decode_heartbeat,
    read_journal,
)
from tokenforge.bench.record_bytes import decode_milestones, decode_record, encode_record
from tokenforge.domain.errors import StoreFailed
from tokenforge.domain.record import Outcome, RequestRecord

FULL = RequestRecord(
    trial=3,
    index=5,
    scheduled_ns=-7,
    sent_ns=0,
    headers_ns=2,
    first_ns=3,
    end_ns=2**40,
    chunk_ns=(3, 9, 2**40),
    chunk_tokens=(1, 4, 1),
    asked_prompt_tokens=8,
    asked_output_tokens=6,
    prompt_tokens=8,
    cached_tokens=0,
    output_tokens=6,
    counted_tokens=6,
    finish_reason="length",
    http_status=200,
    outcome=Outcome.OK,
    error=None,
    connection=2,
    merged_reads=0,
    server_first_ns=2**41,
    server_queue_ns=0,
    server_prefill_ns=7,
    gateway_ns=None,
)
BARE = dataclasses.replace(
    FULL,
    index=6,
    scheduled_ns=None,
    sent_ns=None,
    headers_ns=None,
    first_ns=None,
    end_ns=None,
    chunk_ns=(),
    chunk_tokens=(),
    asked_prompt_tokens=None,
    prompt_tokens=None,
    cached_tokens=None,
    output_tokens=None,
    finish_reason=None,
    http_status=None,
    outcome=Outcome.CONNECT_FAILED,
    error="no connection: „verweigert“",
    connection=-1,
)
BEAT = Heartbeat(
    at_ns=1,
    sent=2,
    finished=3,
    errors=4,
    in_flight=5,
    tokens=6,
    cpu_ns=7,
    gc_pause_max_ns=8,
    retried=9,
    clock_steps=10,
    reads=11,
    user_stamps=12,
    final=True,
    stopped_early="stopped",
)


def written(path: Path, *records: RequestRecord) -> bytes:
    """The bytes of a journal with `records` and a heartbeat between them."""
    writer = JournalWriter(path, trial=3, process=1)
    for record in records:
        writer.record(record)
        writer.heartbeat(BEAT)
    writer.close()
    return path.read_bytes()


def test_records_come_back_equal(tmp_path: Path) -> None:
    written(tmp_path / "j", FULL, BARE)
    assert read_journal(tmp_path / "j") == [FULL, BARE]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_comes_back(outcome: Outcome) -> None:
    record = dataclasses.replace(FULL, outcome=outcome)
    assert decode_record(encode_record(record), trial=3) == record


@given(st.lists(st.tuples(st.integers(0, 2**50), st.integers(0, 2**31)), max_size=40), st.text(max_size=80))
def test_any_chunks_and_words_come_back(chunks: list[tuple[int, int]], words: str) -> None:
    stamps, tokens = tuple(at for at, _ in chunks), tuple(count for _, count in chunks)
    record = dataclasses.replace(FULL, chunk_ns=stamps, chunk_tokens=tokens, error=words or None)
    assert decode_record(encode_record(record), trial=3) == record


def test_cut_anywhere_the_whole_records_remain(tmp_path: Path) -> None:
    whole = written(tmp_path / "j", FULL, BARE)
    head = len(written(tmp_path / "empty"))
    counts = []
    for cut in range(head, len(whole) + 1):
        (tmp_path / "cut").write_bytes(whole[:cut])
        counts.append(len(read_journal(tmp_path / "cut")))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 2)


def test_a_flipped_bit_is_not_read_as_a_record(tmp_path: Path) -> None:
    whole = bytearray(written(tmp_path / "j", FULL, BARE))
    whole[60] ^= 1
    (tmp_path / "j").write_bytes(whole)
    with pytest.raises(StoreFailed, match="damaged at byte"):
        read_journal(tmp_path / "j")


def test_another_file_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = written(path, FULL)
    path.write_bytes(whole[19:])
    with pytest.raises(StoreFailed, match="not a journal"):
        read_journal(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="cannot read the journal"):
        read_journal(tmp_path / "none")


def test_what_is_not_flushed_is_not_there_yet(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", trial=0, process=0)
    writer.record(FULL)
    assert read_journal(tmp_path / "j") == []
    writer.flush()
    assert len(read_journal(tmp_path / "j")) == 1
    writer.close()


def test_a_tail_gives_each_frame_once_when_it_is_whole(tmp_path: Path) -> None:
    whole = written(tmp_path / "j", FULL)
    path = tmp_path / "growing"
    seen: list[tuple[int, bytes]] = []
    tail = JournalTail(path)
    assert list(tail.poll()) == []
    for cut in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:cut])
        seen += tail.poll()
    path.write_bytes(whole)
    seen += tail.poll()
    assert [kind for kind, _ in seen] == [1, RECORD, HEARTBEAT]
    assert decode_record(seen[1][1], trial=3) == FULL


def test_frames_longer_than_a_read_come_whole(tmp_path: Path) -> None:
    long = dataclasses.replace(FULL, chunk_ns=tuple(range(500_000)), chunk_tokens=(1,) * 500_000)
    written(tmp_path / "j", long, BARE)
    assert [kind for kind, _ in JournalTail(tmp_path / "j").poll()] == [1, RECORD, HEARTBEAT, RECORD, HEARTBEAT]
    assert read_journal(tmp_path / "j") == [long, BARE]


def test_a_heartbeat_comes_back_equal(tmp_path: Path) -> None:
    written(tmp_path / "j", FULL)
    assert decode_heartbeat(list(JournalTail(tmp_path / "j").poll())[2][1]) == BEAT


def test_milestones_are_those_of_the_record() -> None:
    seen = decode_milestones(encode_record(FULL))
    assert (seen.scheduled_ns, seen.sent_ns, seen.first_ns, seen.end_ns) == (-7, 0, 3, 2**40)


def test_a_long_error_is_cut_to_whole_characters() -> None:
    record = decode_record(encode_record(dataclasses.replace(FULL, error="é" * 3000)), trial=3)
    assert record.error == "é" * 1000
