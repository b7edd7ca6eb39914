"""Do 95 % intervals hold the truth as often as they say? Asked of a queue whose truth is known."""

from collections.abc import Callable

import pytest
from coverage_tally import Repeat, Tally, repeats, tally, true_quantiles
from queue_samples import true_mean

from tokenforge.analysis.intervals import Estimate, over_trials
from tokenforge.analysis.latency import QUANTILES
from tokenforge.analysis.quantiles import Samples, estimate_mean, estimate_quantile, read_samples

pytestmark = pytest.mark.science

Show = Callable[[str], None]
SELDOM = 0.25
"""Data at the edge of what carries a quantile show it now and then, after calm stretches, which miss more often. An
interval that is shown in fewer repeats than this is judged by how often it is shown and wrong, of all repeats."""


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_interval_of_mean_ttft_covers_the_truth(load: float, seed: int, show: Show) -> None:
    runs = repeats(seed, load=load, count=4000)
    found = tally(runs, lambda run: over_trials([float(one.mean()) for one in run]), true_mean(load))
    show(f"mean TTFT, load {load}, 5 trials of 2,000: {found}")
    assert found.coverage >= 0.91


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_quantiles_over_trials_cover_or_say_not_estimable(load: float, seed: int, show: Show) -> None:
    for (name, quantile), truth in zip(QUANTILES, true_quantiles(load, tuple(q for _, q in QUANTILES)), strict=True):
        found = tally(repeats(seed, load=load, count=800), quantile_of(name, quantile), truth)
        show(f"{name} of TTFT, load {load}, 5 trials of 2,000: {found}")
        assert holds(found)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_trial_covers_or_says_not_estimable(load: float, seed: int, show: Show) -> None:
    for (name, quantile), truth in zip(QUANTILES, true_quantiles(load, tuple(q for _, q in QUANTILES)), strict=True):
        runs = repeats(seed, load=load, count=400, trials=1, requests=8000)
        found = tally(runs, quantile_of(name, quantile), truth)
        show(f"{name} of TTFT, load {load}, one trial of 8,000: {found}")
        assert holds(found)
    runs = repeats(seed, load=load, count=400, trials=1, requests=8000)
    found = tally(runs, lambda run: estimate_mean(samples(run), [None], floor=0.0), true_mean(load))
    show(f"mean TTFT, load {load}, one trial of 8,000: {found}")
    assert holds(found)


def holds(found: Tally) -> bool:
    return not found.is_wrong_beyond(0.08) and (found.shown < SELDOM * found.repeats or found.coverage >= 0.85)


def quantile_of(name: str, quantile: float) -> Callable[[Repeat], Estimate]:
    return lambda run: estimate_quantile(samples(run), name=name, quantile=quantile)


def samples(run: Repeat) -> Samples:
    return read_samples([values.copy() for values in run])
