"""Latency of single requests against hand-made stamps."""

import numpy as np
import pytest
from record_samples import MS, Load, S, one_request, one_run

from tokenforge.analysis.document import read_facts
from tokenforge.analysis.latency import Latencies, trial_metric
from tokenforge.analysis.summary import summarise
from tokenforge.analysis.trials import measure_trials
from tokenforge.domain.record import RequestRecord


def measured(*records: RequestRecord, load: Load | None = None) -> Latencies:
    document, table = one_run(records, load)
    return measure_trials(read_facts(document).runs[0], table)[0].latencies


def test_ttft_counts_from_the_schedule_and_its_service_part_from_the_send() -> None:
    one = measured(one_request(scheduled_ns=0, sent_ns=30 * MS, first_ns=100 * MS))
    assert (one.ttft[0], one.ttft_service[0], one.lag[0]) == (100.0, 70.0, 30.0)


def test_a_closed_loop_has_no_schedule_so_those_metrics_are_absent() -> None:
    one = measured(one_request(scheduled_ns=None, sent_ns=10 * MS))
    assert np.isnan([one.ttft[0], one.lag[0], one.e2e[0]]).all()
    assert one.e2e_service[0] == 120.0


def test_tpot_divides_by_the_tokens_after_the_first() -> None:
    assert measured(one_request()).tpot[0] == pytest.approx(10.0)


def test_tpot_of_one_token_or_of_one_chunk_is_absent() -> None:
    single = one_request(chunk_ns=(100 * MS,), chunk_tokens=(1,), output_tokens=1, counted_tokens=1)
    lump = one_request(chunk_ns=(100 * MS,), chunk_tokens=(4,))
    assert np.isnan(measured(single).tpot[0])
    assert np.isnan(measured(lump).tpot[0])


def test_itl_spreads_a_gap_over_the_tokens_of_its_chunk_and_keeps_the_raw_gap() -> None:
    one = measured(one_request(chunk_ns=(100 * MS, 130 * MS), chunk_tokens=(1, 3)))
    assert one.itl.tolist() == [10.0, 10.0, 10.0]
    assert one.chunk_gap.tolist() == [30.0]


def test_no_gap_is_taken_between_chunks_of_different_requests() -> None:
    assert len(measured(one_request(), one_request(index=1)).chunk_gap) == 6


def test_a_queue_at_one_slot_is_charged_to_the_server() -> None:
    """Service 500 ms, 10 requests/s, 8 requests: E2E is 0.5 + 0.4 i seconds, 1.9 s in the mean."""
    records = [
        one_request(
            index=i,
            scheduled_ns=i * S // 10,
            sent_ns=i * S // 10,
            first_ns=(i + 1) * S // 2,
            chunk_ns=((i + 1) * S // 2,),
            chunk_tokens=(1,),
            end_ns=(i + 1) * S // 2,
        )
        for i in range(8)
    ]
    e2e = measured(*records).e2e
    assert e2e.mean() == pytest.approx(1900.0)
    assert e2e.max() == pytest.approx(3300.0)


def test_the_mean_of_no_values_is_none_not_nan() -> None:
    metric = trial_metric(np.empty(0), trial=0)
    assert (metric.count, metric.mean, metric.p99) == (0, None, None)


def test_chunk_gaps_are_in_the_summary_beside_itl() -> None:
    run = summarise(*one_run([one_request(chunk_ns=(100 * MS, 130 * MS), chunk_tokens=(1, 3))])).runs[0]
    assert run.latencies["itl"].per_trial[0].mean == pytest.approx(10.0)
    assert run.latencies["chunk_gap"].per_trial[0].mean == pytest.approx(30.0)
