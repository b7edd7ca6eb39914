"""The test of arrivals: Poisson passes as Poisson, other laws and coarse clocks do not, plans are held gap by gap."""

from dataclasses import replace

import numpy as np
import pytest
from record_samples import MS, Load, S, one_request, one_run
from scipy.stats import gamma, kstest

from tokenforge.analysis.arrival_test import ArrivalTest, gamma_test, worst_arrivals
from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.requests import Floats
from tokenforge.analysis.summary import summarise
from tokenforge.bench.arrivals import arrival_times_ns
from tokenforge.domain.workload import Arrival, Workload


def drawn(seed: int, *, qps: float = 300.0, count: int = 1000, burstiness: float | None = None) -> Floats:
    """Planned times in s: Poisson, or gamma."""
    arrival = Arrival.POISSON if burstiness is None else Arrival.GAMMA
    asked = Workload(name="w", arrival=arrival, qps=qps, requests=count, burstiness=burstiness or 1.0)
    return np.asarray(arrival_times_ns(asked, seed=seed)) / S


def run_of(times_s: Floats, sent_s: Floats, *, load: Load, trials: int = 1) -> RunSummary:
    """A run with these sends in every trial."""
    records = [
        replace(
            one_request(trial=trial, index=i, scheduled_ns=int(at * S), sent_ns=int(sent * S)),
            first_ns=int(sent * S) + 100 * MS,
            end_ns=int(sent * S) + 130 * MS,
            chunk_ns=tuple(int(sent * S) + ms * MS for ms in (100, 110, 120, 130)),
        )
        for trial in range(trials)
        for i, (at, sent) in enumerate(zip(times_s, sent_s, strict=True))
    ]
    return summarise(*one_run(records, load)).runs[0]


def only_test(run: RunSummary) -> ArrivalTest:
    (test,) = run.instrument.arrivals
    return test


def has_doubt(run: RunSummary) -> bool:
    return any(reason.code == "arrivals_off" for reason in run.reasons)


def test_poisson_arrivals_pass_in_nearly_every_seed() -> None:
    passed = [gamma_test(np.diff(drawn(seed)), shape=1, rate=300)[1] >= 0.01 for seed in range(50)]
    assert sum(passed) >= 48


@pytest.mark.parametrize("burstiness", [0.25, 2.0])
def test_gamma_arrivals_pass_as_gamma_and_fail_as_poisson(burstiness: float) -> None:
    gaps = [np.diff(drawn(seed, burstiness=burstiness)) for seed in range(30)]
    assert sum(gamma_test(one, shape=burstiness, rate=300)[1] >= 0.01 for one in gaps) >= 28
    assert all(gamma_test(one, shape=1, rate=300)[1] < 1e-6 for one in gaps)


def test_a_grid_of_whole_milliseconds_is_refused_at_300_per_second() -> None:
    for seed in range(10):
        distance, p = gamma_test(np.diff(np.round(drawn(seed), 3)), shape=1, rate=300)
        assert p < 1e-6
        assert distance > 0.1


@pytest.mark.parametrize("count", [25, 200, 2000])
@pytest.mark.parametrize("shape", [0.5, 1.0])
def test_distance_and_p_are_those_of_scipy(count: int, shape: float) -> None:
    gaps = np.random.default_rng(4).gamma(shape, 1.15 / (shape * 300), count)
    distance, p = gamma_test(gaps, shape=shape, rate=300)
    exact = kstest(gaps, gamma(shape, scale=1 / (shape * 300)).cdf)
    assert distance == pytest.approx(exact.statistic, rel=1e-9)
    assert p == pytest.approx(exact.pvalue, rel=0.15)


def test_a_late_wake_up_of_tens_of_microseconds_is_no_other_law() -> None:
    times = drawn(3, count=2000)
    late = times + np.random.default_rng(1).exponential(50e-6, len(times))
    run = run_of(times, late, load=Load(qps=300.0))
    assert (only_test(run).law, only_test(run).gaps) == ("exponential", 1999)
    assert not has_doubt(run)


def test_sends_in_bunches_are_flagged_though_each_is_little_late() -> None:
    times = drawn(3, count=2000)
    run = run_of(times, np.ceil(times / 0.004) * 0.004, load=Load(qps=300.0), trials=3)
    assert has_doubt(run)
    assert max(test.p or 0 for test in run.instrument.arrivals) < 1e-9


def test_a_plan_of_another_law_is_flagged_even_when_it_was_kept() -> None:
    times = np.arange(500) / 40
    assert has_doubt(run_of(times, times, load=Load(qps=40.0)))


@pytest.mark.parametrize(("late_s", "doubted"), [(0.0004, False), (0.004, True)])
def test_constant_arrivals_are_held_against_their_plan(late_s: float, doubted: bool) -> None:
    times = np.arange(500) / 40
    sent = times + np.random.default_rng(1).uniform(0, late_s, len(times))
    run = run_of(times, sent, load=Load(qps=40.0, extra={"arrival": "constant"}))
    assert (only_test(run).law, only_test(run).p) == (None, None)
    assert has_doubt(run) is doubted


def test_conversations_have_no_law_of_their_own() -> None:
    times = np.arange(100) / 40
    run = run_of(times, times, load=Load(qps=40.0, extra={"turns": {"value": 3}}))
    assert only_test(run).law is None
    assert not has_doubt(run)


def test_a_closed_loop_and_a_handful_of_requests_are_not_tested() -> None:
    few = np.arange(15) / 40
    assert run_of(few, few, load=Load(qps=40.0)).instrument.arrivals == ()
    assert run_of(np.arange(99) / 40, np.arange(99) / 40, load=Load(qps=None)).instrument.arrivals == ()


@pytest.mark.parametrize(("trials", "found"), [(1, True), (5, False)])
def test_one_odd_trial_of_five_is_chance_where_a_single_one_is_not(trials: int, found: bool) -> None:
    odd = ArrivalTest(trial=0, law="exponential", gaps=300, p=0.004, distance=0.1, gap_error_p99_ms=0.1)
    plain = [replace(odd, trial=t, p=0.4, distance=0.03) for t in range(1, trials)]
    assert (worst_arrivals([odd, *plain]) is not None) is found
