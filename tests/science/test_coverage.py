"""Do 95 % intervals hold the truth as often as they say? Asked of a queue whose truth is known, 400 times."""

from collections.abc import Callable

import numpy as np
import pytest
from queue_samples import true_mean, waits

from tokenforge.analysis.intervals import over_trials

pytestmark = pytest.mark.science

REPEATS, TRIALS, REQUESTS = 400, 5, 2000


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_interval_of_mean_ttft_covers_the_truth(load: float, seed: int, show: Callable[[str], None]) -> None:
    trials = waits(seed, rows=REPEATS * TRIALS, requests=REQUESTS, load=load).reshape(REPEATS, TRIALS, REQUESTS)
    found = [over_trials(means) for means in trials.mean(axis=2).tolist()]
    covered = np.mean([(one.low or 0.0) <= true_mean(load) <= (one.high or 0.0) for one in found])
    show(f"mean TTFT at load {load}: the 95 % interval covered the truth in {covered:.1%} of {REPEATS} repeats")
    assert covered >= 0.91
