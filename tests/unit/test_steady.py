"""MSER-5 over all trials, and whether their halves differ."""

import numpy as np
import pytest
from queue_samples import waits

from tokenforge.analysis.requests import Floats
from tokenforge.analysis.steady import Settling, mser_cut, settling


def series(seed: int = 1, *, trials: int = 5, batches: int = 40, noise: float = 0.1) -> Floats:
    """Batch means about 1 that have nothing to do with each other."""
    return np.random.default_rng(seed).normal(1.0, noise, (trials, batches))


def judged(batches: Floats) -> Settling:
    found = settling(batches)
    assert found is not None
    return found


def test_mser_cuts_off_a_start_that_differs() -> None:
    values = series(trials=1, batches=200)[0]
    values[:30] += 5.0
    assert 30 <= mser_cut(values) <= 40


def test_mser_keeps_a_start_that_is_like_the_rest() -> None:
    assert mser_cut(np.tile([1.0, 2.0], 100)) <= 2


def test_mser_cuts_at_most_half() -> None:
    assert mser_cut(np.linspace(3.0, 1.0, 100)) == 50


def test_one_state_is_steady() -> None:
    found = judged(series())
    assert found.is_steady
    assert abs(found.change) < 0.05


@pytest.mark.parametrize("trials", [1, 2, 3, 5])
@pytest.mark.parametrize(("start", "end"), [(2.0, 1.0), (1.0, 2.0)])
def test_what_falls_or_rises_throughout_is_not_steady(trials: int, start: float, end: float) -> None:
    found = judged(series(trials=trials, noise=0.05) * np.linspace(start, end, 40))
    assert not found.is_steady
    assert found.at_edge
    assert found.change == pytest.approx((end - start) / 3, abs=0.05)


def test_a_step_that_mser_does_not_cut_is_found_by_the_halves() -> None:
    batches = series()
    batches[:, 26:] *= 1.6
    found = judged(batches)
    assert (found.at_edge, found.is_steady) == (False, False)


def test_a_small_change_is_steady_however_sure() -> None:
    assert judged(series(noise=0.001) * np.linspace(1.0, 1.1, 40)).is_steady


def test_trials_that_change_in_other_directions_are_noise() -> None:
    batches = series()
    batches[::2, :20] *= 1.5
    batches[1::2, 20:] *= 1.5
    assert judged(batches).is_steady


def test_few_batches_are_not_judged() -> None:
    assert settling(np.ones((5, 19))) is None
    assert settling(np.zeros((5, 40))) is None


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_a_steady_queue_is_rarely_called_unsteady(load: float) -> None:
    runs = waits(3, rows=200 * 5, requests=400, load=load).reshape(200, 5, 40, 10).mean(axis=3)
    assert sum(not judged(run).is_steady for run in runs) <= 12
