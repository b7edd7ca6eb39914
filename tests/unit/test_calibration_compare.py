"""The comparison of a client's stamps with the truth: exact clients pass, every lie shows with its size."""

from dataclasses import replace
from pathlib import Path

import pytest
from calibration_samples import answers, record_of
from record_samples import MS

from tokenforge.bench.calibration.compare import compare, stamp_error
from tokenforge.bench.calibration.truth import read_truth, write_truth
from tokenforge.domain.record import Outcome


def test_an_exact_client_has_no_error_whatever_its_origin() -> None:
    truth = answers(20)
    found = compare([record_of(answer, origin_ns=123_456_789) for answer in truth], truth)
    assert set(found.ttft_ns) == {0} == set(found.itl_ns)
    assert (found.matched, found.missing, found.chunks) == (20, 0, 160)


def test_a_server_that_lies_by_20_ms_shows_as_20_ms_of_ttft() -> None:
    truth = answers(20)
    found = compare([record_of(answer, late_ns=20 * MS) for answer in truth], truth)
    error = stamp_error(found.ttft_ns)
    assert error is not None
    assert (error.p50_ms, error.p99_ms) == (20, 20)
    assert set(found.itl_ns) == {0}


def test_a_blurred_pace_shows_in_itl_alone() -> None:
    truth = answers(20)
    found = compare([record_of(answer, blur_ns=3 * MS) for answer in truth], truth)
    error = stamp_error(found.itl_ns)
    assert error is not None
    assert error.p99_ms == 3
    assert set(found.ttft_ns) == {0}


def test_a_send_stamped_too_early_adds_to_a_chunk_stamped_too_late() -> None:
    (answer,) = truth = answers(1)
    record = record_of(answer, late_ns=2 * MS)
    assert record.sent_ns is not None
    assert compare([replace(record, sent_ns=record.sent_ns - 3 * MS)], truth).ttft_ns == [5 * MS]


def test_a_chunk_whose_hand_over_was_held_up_is_left_out_and_counted() -> None:
    (answer,) = answers(1, tokens=4)
    held = replace(answer, took_ns=(8_000, 8_000, 9 * MS, 8_000))
    found = compare([record_of(held)], [held])
    assert (len(found.ttft_ns), len(found.itl_ns)) == (1, 1)
    assert found.unsure_share == 0.25


@pytest.mark.parametrize("change", [{"outcome": Outcome.TRUNCATED}, {"index": 99}, {"chunk_ns": (1, 2)}])
def test_an_answer_that_one_side_knows_otherwise_is_missing(change: dict[str, object]) -> None:
    (answer,) = truth = answers(1)
    found = compare([replace(record_of(answer), **change)], truth)  # type: ignore[arg-type]
    assert (found.matched, found.missing) == (0, 1)


def test_the_spread_keeps_the_sign_of_the_middle_and_the_size_of_the_tail() -> None:
    error = stamp_error([-2 * MS] * 60 + [MS] * 39 + [-9 * MS])
    assert error is not None
    assert (error.count, error.p50_ms, error.p99_ms, error.max_ms) == (100, -2, 9, 9)
    assert stamp_error([]) is None


def test_the_truth_comes_back_from_its_file(tmp_path: Path) -> None:
    truth = tuple(answers(3))
    write_truth(tmp_path / "t", truth)
    assert read_truth(tmp_path / "t") == truth


def test_a_truth_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    write_truth(tmp_path / "t", answers(2))
    (tmp_path / "t").write_bytes((tmp_path / "t").read_bytes()[:-16])
    with pytest.raises(ValueError, match="ends within answer 1"):
        read_truth(tmp_path / "t")
