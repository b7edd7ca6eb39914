"""The promises of intervals, asked often enough to see a broken one; `make test-science` has the full repeats."""

import pytest
from coverage_tally import Repeat, repeats, tally, true_quantiles
from queue_samples import true_mean

from tokenforge.analysis.intervals import Estimate, over_trials
from tokenforge.analysis.quantiles import estimate_quantile, read_samples


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_interval_of_mean_ttft_covers_the_truth_in_400_repeats(load: float) -> None:
    runs = repeats(11, load=load, count=400)
    assert tally(runs, lambda run: over_trials([float(one.mean()) for one in run]), true_mean(load)).coverage >= 0.91


@pytest.mark.parametrize(("load", "quantile"), [(0.5, 0.99), (0.8, 0.9), (0.8, 0.99)])
def test_a_quantile_of_a_queue_is_covered_or_not_estimable(load: float, quantile: float) -> None:
    def estimate(run: Repeat) -> Estimate:
        return estimate_quantile(read_samples(run), name="q", quantile=quantile)

    found = tally(repeats(12, load=load, count=100), estimate, true_quantiles(load, (quantile,))[0])
    assert found.wrong <= 0.10
    assert not found.refutes(0.85)


def test_p99_at_load_80_percent_is_never_shown_for_2000_requests() -> None:
    found = [estimate_quantile(read_samples(run), name="p99", quantile=0.99) for run in repeats(13, load=0.8, count=50)]
    assert all(one.low is None for one in found)
    assert any((one.note or "").startswith("p99 not estimable (needs ") for one in found)


def test_one_trial_covers_its_p90_or_says_that_it_cannot() -> None:
    def estimate(run: Repeat) -> Estimate:
        return estimate_quantile(read_samples(run), name="p90", quantile=0.9)

    runs = repeats(14, load=0.5, count=100, trials=1)
    assert not tally(runs, estimate, true_quantiles(0.5, (0.9,))[0]).refutes(0.85)
