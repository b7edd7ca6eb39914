"""Rows that lie in memory or in a file: the same rows in the same order, and no file is left."""

import os
from pathlib import Path

import numpy as np
import pytest

from tokenforge.bench import spilled_rows
from tokenforge.bench.spilled_rows import SpilledRows
from tokenforge.domain.errors import StoreFailed

ROW = np.dtype([("key", np.int64), ("what", np.int32)])


def some(count: int) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    rows = np.empty(count, ROW)
    rows["key"] = np.random.default_rng(1).permutation(count)
    rows["what"] = np.arange(count)
    return rows


@pytest.mark.parametrize("held_bytes", [1 << 30, 100], ids=["memory", "file"])
def test_rows_come_in_the_order_of_their_keys_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    monkeypatch.setattr(spilled_rows, "HELD_BYTES", held_bytes)
    rows, spilled = some(1000), SpilledRows(ROW, folder=tmp_path)
    for part in np.array_split(rows, 7):
        spilled.add(part)
    spilled.sort(rows["key"])
    expected = rows[np.argsort(rows["key"])]
    assert len(spilled) == 1000
    assert np.array_equal(np.concatenate(list(spilled.blocks())), expected)
    assert np.array_equal(spilled.take(slice(10, 20)), expected[10:20])
    assert np.array_equal(spilled.take([7, 3]), expected[[7, 3]])
    assert list(tmp_path.iterdir()) == []


def test_rows_with_one_key_keep_the_order_they_came_in(tmp_path: Path) -> None:
    spilled = SpilledRows(ROW, folder=tmp_path)
    spilled.add(some(9))
    spilled.sort(np.zeros(9, np.int64))
    assert np.array_equal(spilled.take(slice(None)), some(9))


def test_a_disk_that_takes_no_more_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled_rows, "HELD_BYTES", 100)
    spilled = SpilledRows(ROW, folder=tmp_path / "is not there")
    with pytest.raises(StoreFailed, match=os.strerror(2)):
        spilled.add(some(100))


def test_no_rows_are_none(tmp_path: Path) -> None:
    spilled = SpilledRows(ROW, folder=tmp_path)
    spilled.sort(np.empty(0, np.int64))
    assert len(spilled.take(slice(None))) == 0
