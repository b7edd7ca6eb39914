"""When requests arrive."""

import numpy as np
import pytest
from scipy import stats

from tokenforge.bench.arrivals import arrival_times_ns
from tokenforge.domain.workload import Arrival, Workload


def arrive(
    arrival: Arrival, *, seed: int = 1, qps: float = 20, **more: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    known = {"duration_s": None, "requests": None, **more}
    workload = Workload(name="w", arrival=arrival, qps=qps, **known)  # type: ignore[arg-type]
    return np.asarray(arrival_times_ns(workload, seed=seed), dtype=np.float64) / 1e9


@pytest.mark.parametrize("qps", [20, 100, 300])
def test_poisson_gaps_are_exponential_for_nearly_every_seed(qps: float) -> None:
    def p_value(seed: int) -> float:
        gaps = np.diff(arrive(Arrival.POISSON, seed=seed, qps=qps, requests=1000))
        return float(stats.kstest(gaps, "expon", args=(0, 1 / qps)).pvalue)

    assert sum(p_value(seed) > 0.01 for seed in range(50)) >= 48


@pytest.mark.parametrize("burstiness", [0.25, 4.0])
def test_gamma_gaps_have_the_asked_burstiness(burstiness: float) -> None:
    gaps = np.diff(arrive(Arrival.GAMMA, requests=20_000, burstiness=burstiness))
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(burstiness**-0.5, rel=0.05)
    assert np.mean(gaps) == pytest.approx(1 / 20, rel=0.05)


def test_gamma_gaps_follow_the_gamma_distribution() -> None:
    gaps = np.diff(arrive(Arrival.GAMMA, requests=1000, burstiness=0.5))
    assert stats.kstest(gaps, "gamma", args=(0.5, 0, 1 / (0.5 * 20))).pvalue > 0.01


def test_constant_arrivals_are_equally_far_apart_and_begin_at_once() -> None:
    times = arrive(Arrival.CONSTANT, qps=10, duration_s=1)
    assert list(times) == pytest.approx([i / 10 for i in range(10)])


def test_the_duration_bounds_the_arrivals() -> None:
    times = arrive(Arrival.POISSON, duration_s=50)
    assert times.max() < 50
    assert len(times) == pytest.approx(1000, abs=150)


def test_the_number_of_requests_bounds_them_too() -> None:
    assert len(arrive(Arrival.POISSON, duration_s=50, requests=10)) == 10


def test_a_ramp_goes_from_one_rate_to_the_other() -> None:
    times = arrive(Arrival.RAMP, qps=10, ramp_to_qps=90, duration_s=100)
    first, last = (times < 20).sum() / 20, (times > 80).sum() / 20
    assert first == pytest.approx(18, rel=0.2)
    assert last == pytest.approx(82, rel=0.2)


def test_a_ramp_between_equal_rates_is_poisson() -> None:
    assert len(arrive(Arrival.RAMP, qps=10, ramp_to_qps=10, duration_s=100)) == pytest.approx(1000, abs=120)


def test_the_same_seed_repeats_and_another_does_not() -> None:
    once, again, other = (arrive(Arrival.POISSON, seed=s, duration_s=5) for s in (1, 1, 2))
    assert list(once) == list(again) != list(other)


@pytest.mark.parametrize("arrival", [Arrival.CONCURRENCY, Arrival.TRACE])
def test_loads_without_a_schedule_of_their_own_are_refused(arrival: Arrival) -> None:
    with pytest.raises(ValueError, match=str(arrival)):
        arrive(arrival, duration_s=1)
