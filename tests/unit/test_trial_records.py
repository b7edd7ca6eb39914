"""A trial's records in columns: the same as the objects, whatever the journals went through."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_samples import MS, one_request
from test_journal import BARE, FULL, written

from tokenforge.bench.journal import read_journal
from tokenforge.bench.trial_records import TrialRecords, read_trial
from tokenforge.domain.errors import StoreFailed
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.store.requests_table import RECORD_COLUMNS, record_columns

STAMP = st.none() | st.integers(-(2**40), 2**62)
COUNT = st.none() | st.integers(0, 2**31 - 1)
WORDS = st.none() | st.text(min_size=1, max_size=9)


@st.composite
def records(draw: st.DrawFn) -> RequestRecord:
    chunks = draw(st.lists(st.tuples(st.integers(0, 2**50), st.integers(0, 2**31 - 1)), max_size=4))
    stamps = {name: draw(STAMP) for name in ("scheduled_ns", "sent_ns", "headers_ns", "first_ns", "end_ns")}
    counts = {name: draw(COUNT) for name in ("asked_prompt_tokens", "prompt_tokens", "cached_tokens", "output_tokens")}
    words = {name: draw(WORDS) for name in ("finish_reason", "error")}
    return one_request(
        trial=3,
        index=draw(st.integers(0, 20)),
        chunk_ns=tuple(at for at, _ in chunks),
        chunk_tokens=tuple(held for _, held in chunks),
        outcome=draw(st.sampled_from(Outcome)),
        **stamps,
        **counts,
        **words,
    )


def recorded(folder: Path, *journals: Sequence[RequestRecord]) -> TrialRecords:
    """What a trial's journals of these records are read as."""
    paths = [folder / f"{number}.journal" for number in range(len(journals))]
    for path, mine in zip(paths, journals, strict=True):
        written(path, *mine)
    return read_trial(paths, trial=3)


def rows(trial: TrialRecords) -> pa.Table:
    return pa.concat_tables([RECORD_COLUMNS.empty_table(), *trial.tables()])


@given(st.lists(records(), max_size=6), st.lists(records(), max_size=6))
def test_columns_are_those_of_the_objects_by_index(
    tmp_path_factory: pytest.TempPathFactory, first: list[RequestRecord], second: list[RequestRecord]
) -> None:
    trial = recorded(tmp_path_factory.mktemp("trial"), first, second)
    expected = sorted([*first, *second], key=lambda record: record.index)
    assert rows(trial).equals(record_columns(expected))
    assert trial.records() == tuple(expected)


def test_an_index_that_two_processes_recorded_is_kept_twice_in_their_order(tmp_path: Path) -> None:
    trial = recorded(tmp_path, [replace(FULL, connection=1), replace(FULL, index=0)], [replace(FULL, connection=2)])
    assert [(record.index, record.connection) for record in trial.records()] == [(0, 2), (5, 1), (5, 2)]


def test_no_journal_and_no_record_make_no_rows(tmp_path: Path) -> None:
    for trial in (read_trial([], trial=0), recorded(tmp_path, [])):
        assert (len(trial), list(trial.tables()), trial.records(), trial.last_end_ns) == (0, [], (), 0)


def test_cut_anywhere_the_rows_are_those_that_were_whole(tmp_path: Path) -> None:
    whole = written(tmp_path / "j", FULL, BARE)
    head = len(written(tmp_path / "empty"))
    for cut in range(head, len(whole) + 1, 3):
        (tmp_path / "cut").write_bytes(whole[:cut])
        trial = read_trial([tmp_path / "cut"], trial=3)
        assert trial.records() == tuple(read_journal(tmp_path / "cut"))


def test_a_damaged_journal_is_refused_or_counts_up_to_the_damage(tmp_path: Path) -> None:
    whole = bytearray(written(tmp_path / "j", FULL, BARE))
    whole[-3] ^= 1
    (tmp_path / "j").write_bytes(whole)
    with pytest.raises(StoreFailed, match="damaged at byte"):
        read_trial([tmp_path / "j"], trial=3)
    kept = read_trial([tmp_path / "missing", tmp_path / "j"], trial=3, until_damage=True)
    assert kept.records() == (FULL, BARE)


def test_a_journal_that_shrank_since_is_named(tmp_path: Path) -> None:
    trial = recorded(tmp_path, [FULL])
    (tmp_path / "0.journal").write_bytes(b"")
    with pytest.raises(StoreFailed, match=r"0\.journal is shorter"):
        list(trial.tables())


def test_a_trial_says_how_many_were_sent_ended_well_and_were_late(tmp_path: Path) -> None:
    late = one_request(index=1, scheduled_ns=5, sent_ns=3 * MS, end_ns=9 * MS)
    trial = recorded(tmp_path, [BARE, late, one_request(index=2, scheduled_ns=None)])
    assert (len(trial), trial.sent, trial.count(Outcome.OK), trial.count(Outcome.CONNECT_FAILED)) == (3, 2, 2, 1)
    assert trial.lags_ns().tolist() == [3 * MS - 5]
    assert trial.last_end_ns == 130 * MS


def test_a_sample_is_of_answers_at_even_steps_and_arrivals_are_of_all(tmp_path: Path) -> None:
    fine = [one_request(trial=3, index=index, scheduled_ns=index) for index in range(40)]
    trial = recorded(tmp_path, [BARE, *fine, replace(FULL, index=50, outcome=Outcome.TIMEOUT)])
    assert trial.sample(4) == tuple(fine[::10])
    assert trial.scheduled_ns().tolist() == [*range(40), FULL.scheduled_ns]


def test_chunks_with_the_stamp_of_the_one_before_came_in_one_read(tmp_path: Path) -> None:
    merged = one_request(chunk_ns=(7, 7, 9, 9), chunk_tokens=(1, 1, 1, 1))
    assert recorded(tmp_path, [merged, replace(merged, chunk_ns=(9, 9, 9, 9)), BARE]).token_reads == 3


def test_a_token_count_beyond_the_column_is_cut_to_its_largest(tmp_path: Path) -> None:
    trial = recorded(tmp_path, [one_request(chunk_ns=(1,), chunk_tokens=(2**32 - 1,))])
    assert rows(trial)["chunk_tokens"].to_pylist() == [[2**31 - 1]]


def test_a_long_trial_comes_in_tables_of_bounded_size(tmp_path: Path) -> None:
    trial = recorded(tmp_path, [replace(BARE, index=index) for index in range(66_000)])
    sizes = [len(table) for table in trial.tables()]
    assert (sum(sizes), len(sizes)) == (66_000, 5)
