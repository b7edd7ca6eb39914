"""How often a steady queue is called unsteady, and how often a change is found."""

from collections.abc import Callable

import numpy as np
import pytest
from queue_samples import waits

from tokenforge.analysis.requests import Floats
from tokenforge.analysis.steady import settling

pytestmark = pytest.mark.science

Show = Callable[[str], None]
RUNS, TRIALS, BATCHES = 1000, 5, 40


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("requests", [200, 2000])
def test_a_steady_queue_is_rarely_called_unsteady(load: float, requests: int, seed: int, show: Show) -> None:
    share = called_unsteady(seed, load=load, requests=requests, shape=np.ones(BATCHES))
    show(f"steady queue at load {load}, 5 trials of {requests:,}: not steady in {share:.1%} of {RUNS} runs")
    assert share <= 0.06


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("TTFT falls from 2 to 1", np.linspace(2.0, 1.0, BATCHES)),
        ("TTFT starts 3 times as long and comes down within a third", 1 + 2 * np.exp(-np.linspace(0, 3.3, BATCHES))),
        ("TTFT is 1.6 times as long from 60 % on", np.where(np.arange(BATCHES) < 24, 1.0, 1.6)),
    ],
)
def test_a_change_is_found_at_load_50_percent(name: str, shape: Floats, seed: int, show: Show) -> None:
    share = called_unsteady(seed, load=0.5, requests=2000, shape=shape)
    show(f"{name}, load 0.5, 5 trials of 2,000: found in {share:.1%} of {RUNS} runs")
    assert share >= 0.75


def called_unsteady(seed: int, *, load: float, requests: int, shape: Floats) -> float:
    """The share of runs that are not steady; each batch of waits is made longer by `shape`."""
    rows = waits(seed, rows=RUNS * TRIALS, requests=requests, load=load)
    runs = rows.reshape(RUNS, TRIALS, BATCHES, -1).mean(axis=3) * shape
    found = [settling(run) for run in runs]
    return sum(one is not None and not one.is_steady for one in found) / RUNS
