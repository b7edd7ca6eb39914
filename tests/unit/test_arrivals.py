"""When requests arrive."""

import numpy as np
import pytest
from scipy import stats

from tokenforge.bench.arrivals import arrival_times_ns, most_arrivals
from tokenforge.domain.workload import Arrival, Step, Workload


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


def stepped(*steps: tuple[float, float], seed: int = 1, requests: int | None = None) -> list[float]:
    """Arrival times in seconds of steps (qps, seconds)."""
    load = tuple(Step(qps=qps, duration_s=span) for qps, span in steps)
    workload = Workload(name="w", arrival=Arrival.STEP, steps=load, requests=requests)
    return [time / 1e9 for time in arrival_times_ns(workload, seed=seed)]


def test_each_step_has_its_own_rate_up_to_its_own_end() -> None:
    times = np.array(stepped((20, 100), (100, 50), (5, 200)))
    counts = [int(((times >= low) & (times < high)).sum()) for low, high in ((0, 100), (100, 150), (150, 350))]
    assert counts == [pytest.approx(n, abs=4 * n**0.5) for n in (2000, 5000, 1000)]
    assert times.max() < 350


def test_gaps_within_a_step_are_exponential_for_nearly_every_seed() -> None:
    def p_value(seed: int) -> float:
        times = np.array(stepped((20, 20), (50, 40), (3, 10), seed=seed))
        gaps = np.diff(times[(times >= 20) & (times < 60)])
        return float(stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue)

    assert sum(p_value(seed) > 0.01 for seed in range(50)) >= 48


def test_nothing_arrives_in_a_pause_wherever_it_is() -> None:
    times = stepped((0, 2), (50, 2), (0, 3), (50, 2), (0, 1))
    assert min(times) >= 2
    assert max(times) < 9
    assert not [time for time in times if 4 < time < 7]


def test_one_step_is_poisson_and_a_step_split_in_two_is_the_same() -> None:
    assert stepped((20, 10)) == pytest.approx(stepped((20, 4), (20, 6)))
    assert stepped((20, 10), requests=5) == stepped((20, 10))[:5]


@pytest.mark.parametrize(
    "workload",
    [
        Workload(name="w", qps=9, duration_s=10),
        Workload(name="w", arrival=Arrival.RAMP, qps=1, ramp_to_qps=17, duration_s=10),
        Workload(name="w", arrival=Arrival.STEP, steps=(Step(qps=9, duration_s=10),)),
    ],
)
def test_the_most_arrivals_are_seldom_exceeded_and_near(workload: Workload) -> None:
    counts = [len(arrival_times_ns(workload, seed=seed)) for seed in range(50)]
    assert max(counts) <= most_arrivals(workload) == 128


def test_the_most_arrivals_are_exact_where_they_are_said() -> None:
    assert most_arrivals(Workload(name="w", qps=9, requests=7)) == 7
    assert most_arrivals(Workload(name="w", arrival=Arrival.CONSTANT, qps=9, duration_s=10)) == 90
