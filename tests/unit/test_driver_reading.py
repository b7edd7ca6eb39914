"""What the driver says of itself, while it runs and after."""

import math
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from record_samples import MS, one_request
from test_journal import BEAT, written

from tokenforge.bench.driver.lag_histogram import LagHistogram
from tokenforge.bench.driver.reading import Watcher, driver_reading
from tokenforge.bench.trial_records import read_trial
from tokenforge.domain.plan import TrialPlan
from tokenforge.domain.record import RequestRecord
from tokenforge.domain.workload import Arrival

PLAN = TrialPlan(workload="w", arrival=Arrival.POISSON, trial=3, seed=0, requests=())


def late_by(*lags_ms: int) -> list[RequestRecord]:
    """Requests that left so late."""
    return [one_request(index=index, sent_ns=lag * MS) for index, lag in enumerate(lags_ms)]


@given(st.lists(st.integers(0, 2**45), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_lag_quantile_is_at_most_0_8_percent_above_the_true_one(lags: list[int], share: float) -> None:
    histogram = LagHistogram()
    for lag in lags:
        histogram.add(lag)
    true = sorted(lags)[max(0, math.ceil(share * len(lags)) - 1)]
    found = histogram.quantile_ms(share)
    assert found is not None
    assert true <= round(found * 1e6) <= true * (1 + 1 / 128)


def test_no_lag_has_no_quantile_and_an_early_one_counts_as_none() -> None:
    histogram = LagHistogram()
    assert histogram.quantile_ms(0.99) is None
    histogram.add(-5)
    assert histogram.quantile_ms(0.99) == 0.0


def test_a_watcher_tells_lag_and_ttft_of_all_processes(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b", tmp_path / "not-there-yet"]
    written(paths[0], *late_by(1, 2))
    written(paths[1], *late_by(7), one_request(scheduled_ns=None, first_ns=40 * MS))
    progress = Watcher(paths).look(elapsed_s=1.0)
    assert progress.lag_p99_ms is not None
    assert 7 <= progress.lag_p99_ms < 7.06
    assert (progress.ttft_recent_p50_ms, progress.sent) == (100.0, 2 * BEAT.sent)


def test_a_closed_loop_has_no_lag(tmp_path: Path) -> None:
    written(tmp_path / "a", one_request(scheduled_ns=None))
    assert Watcher([tmp_path / "a"]).look(elapsed_s=1.0).lag_p99_ms is None


def test_a_reading_sums_up_records_and_heartbeats(tmp_path: Path) -> None:
    merged = replace(one_request(index=9), chunk_ns=(1, 1, 2, 2), merged_reads=1)
    written(tmp_path / "a", *late_by(1, 2, 3), merged)
    recorded = read_trial([tmp_path / "a"], trial=3)
    reading = driver_reading(plan=PLAN, recorded=recorded, beats=(BEAT,), processes=1)
    assert (reading.sent, reading.lag_p50_ms, reading.lag_p99_ms, reading.lag_max_ms) == (4, 1.0, 3.0, 3.0)
    assert reading.merged_read_share == 1 / (3 * 4 + 2)
    assert (reading.cpu_share, reading.stopped_early) == (BEAT.cpu_ns / BEAT.at_ns, "stopped")
