"""Parity on a device: regrets within the reference's own pass, more or larger ones do not."""

import pytest

from gpu.regret import Regrets, judged


def regrets(*missed: float, places: int = 1000) -> Regrets:
    kept = Regrets()
    kept.add([*missed, *([0.0] * (places - len(missed)))])
    return kept


def test_as_many_misses_as_the_reference_itself_pass() -> None:
    found = judged(regrets(*[0.02] * 12), regrets(*[0.03] * 10), is_exact=False, equal=0, answers=24)
    assert found["passes"]


@pytest.mark.parametrize("ours", [regrets(*[0.02] * 60), regrets(0.3)])
def test_many_misses_or_one_large_one_fail(ours: Regrets) -> None:
    assert not judged(ours, regrets(*[0.03] * 10), is_exact=False, equal=0, answers=24)["passes"]


def test_float32_answers_must_be_equal() -> None:
    exact, other = (judged(regrets(), regrets(), is_exact=True, equal=equal, answers=24) for equal in (24, 23))
    assert (exact["passes"], other["passes"]) == (True, False)


def test_a_tie_is_no_miss() -> None:
    assert regrets(1e-6).share == 0.0
