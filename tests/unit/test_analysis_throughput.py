"""Rates inside the steady window."""

from dataclasses import replace

import numpy as np
import pytest
from record_samples import MS, Load, S, one_request, one_run

from tokenforge.analysis.document import read_facts
from tokenforge.analysis.throughput import in_flight
from tokenforge.analysis.trials import Trial, measure_trials
from tokenforge.domain.record import Outcome, RequestRecord


def measured(*records: RequestRecord, load: Load) -> Trial:
    document, table = one_run(records, load)
    return measure_trials(read_facts(document).runs[0], table)[0]


def spanning(*, index: int = 0, start_s: int, chunk_s: tuple[int, ...], tokens: int = 1) -> RequestRecord:
    stamps = tuple(s * S for s in chunk_s)
    return one_request(
        index=index,
        scheduled_ns=start_s * S,
        sent_ns=start_s * S,
        first_ns=stamps[0],
        end_ns=stamps[-1],
        chunk_ns=stamps,
        chunk_tokens=(tokens,) * len(stamps),
        output_tokens=tokens * len(stamps),
        counted_tokens=tokens * len(stamps),
        prompt_tokens=0,
    )


def test_a_chunk_across_the_edge_counts_by_its_part_inside() -> None:
    """Window 0 to 10 s; the second chunk spans 8 to 12 s, so half of its 8 tokens count beside the first 8."""
    request = spanning(start_s=0, chunk_s=(8, 12), tokens=8)
    later = spanning(index=1, start_s=11, chunk_s=(13,), tokens=8)
    rates = measured(request, later, load=Load(extra={"duration_s": 10.0})).rates
    assert rates.output_tokens_per_s == pytest.approx((8 + 4) / 10)


def test_tokens_before_the_warm_up_ends_do_not_count() -> None:
    request = spanning(start_s=0, chunk_s=(2, 4), tokens=6)
    rates = measured(request, load=Load(warmup_s=2.0, extra={"duration_s": 4.0})).rates
    assert rates.output_tokens_per_s == pytest.approx(6 / 2)


def test_tokens_follow_the_usage_of_the_server_where_the_stream_counts_otherwise() -> None:
    request = one_request(chunk_tokens=(1, 1, 1, 1), output_tokens=8, prompt_tokens=0)
    rates = measured(request, load=Load()).rates
    assert rates.output_tokens_per_s == pytest.approx(8 / 0.130)


def closed(*, index: int, sent_ns: int) -> RequestRecord:
    return replace(spanning(index=index, start_s=0, chunk_s=(2, 4), tokens=6), scheduled_ns=None, sent_ns=sent_ns)


def test_a_closed_loop_of_one_request_a_client_lasts_to_its_answers() -> None:
    """Else the time between the first send and the last, a moment, would be all its tokens have."""
    wave = [closed(index=number, sent_ns=number) for number in range(4)]
    rates = measured(*wave, load=Load(qps=None, concurrency=4)).rates
    assert rates.window_s == pytest.approx(4)
    assert rates.output_tokens_per_s == pytest.approx(4 * 12 / 4)


def test_a_closed_loop_with_a_second_request_ends_with_its_sends() -> None:
    requests = [closed(index=number, sent_ns=number) for number in range(4)] + [closed(index=4, sent_ns=1 * S)]
    assert measured(*requests, load=Load(qps=None, concurrency=4)).rates.window_s == pytest.approx(1)


def test_prompt_tokens_are_part_of_the_total_only() -> None:
    rates = measured(one_request(prompt_tokens=13), load=Load()).rates
    assert rates.total_tokens_per_s == pytest.approx((4 + 13) / 0.130)
    assert rates.output_tokens_per_s == pytest.approx(4 / 0.130)


def test_goodput_counts_only_requests_that_meet_every_limit() -> None:
    fast, slow = one_request(), one_request(index=1, first_ns=900 * MS, end_ns=930 * MS)
    rates = measured(fast, slow, load=Load(slo={"ttft_ms": 200.0})).rates
    assert rates.attainment == 0.5


def test_an_error_is_never_good() -> None:
    failed = one_request(index=1, outcome=Outcome.TIMEOUT)
    rates = measured(one_request(), failed, load=Load(slo={"ttft_ms": 200.0})).rates
    assert rates.attainment == 0.5


def test_without_an_slo_there_is_no_goodput() -> None:
    assert measured(one_request(), load=Load()).rates.goodput is None


def test_in_flight_is_sent_minus_ended() -> None:
    trial = measured(one_request(), one_request(index=1, sent_ns=100 * MS, end_ns=300 * MS), load=Load())
    assert in_flight(trial.requests, np.array([50.0, 110.0, 200.0, 400.0]) * MS).tolist() == [1, 2, 1, 0]


def test_mean_in_flight_obeys_littles_law() -> None:
    records = [
        one_request(index=i, scheduled_ns=i * S, sent_ns=i * S, first_ns=i * S + 1, end_ns=i * S + S // 2)
        for i in range(11)
    ]
    trial = measured(*records, load=Load(extra={"duration_s": 10.0}))
    assert trial.rates.mean_in_flight == pytest.approx(0.5)
