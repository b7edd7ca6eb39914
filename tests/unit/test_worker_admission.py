"""The bounded door."""

import pytest

from tokenforge.domain.errors import Overloaded
from tokenforge.worker.admission import Admission


def test_capacity_is_what_runs_and_what_may_wait() -> None:
    admission = Admission(max_waiting=3)
    admission.open(4)
    assert admission.capacity == 7


def test_an_engine_that_does_not_say_leaves_what_may_wait() -> None:
    admission = Admission(max_waiting=3)
    admission.open(None)
    assert admission.capacity == 3


def test_there_is_always_one_place() -> None:
    admission = Admission(max_waiting=0)
    admission.open(None)
    assert admission.capacity == 1


def test_one_more_is_refused_and_takes_no_place() -> None:
    admission = Admission(max_waiting=1)
    with admission.place():
        with pytest.raises(Overloaded), admission.place():
            pass
        assert admission.inside == 1
    assert admission.inside == 0


def test_a_place_is_given_back_after_an_error() -> None:
    admission = Admission(max_waiting=1)
    with pytest.raises(ValueError), admission.place():
        raise ValueError
    assert admission.inside == 0
    assert admission.empty.is_set()


def test_empty_tells_when_nobody_is_inside() -> None:
    admission = Admission(max_waiting=2)
    with admission.place():
        with admission.place():
            pass
        assert not admission.empty.is_set()
    assert admission.empty.is_set()
