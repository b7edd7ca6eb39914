"""From a record to figures: the whole path on sample records."""

import json

import pytest
from record_samples import Engine, Load, one_request, one_run, sample

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.figures import Validity
from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import canonical_bytes, to_plain
from tokenforge.domain.record import Outcome

FAST = Engine(runtime="vllm", prefill_ms=40)
SLOW = Engine(runtime="transformers", prefill_ms=85, step_ms=14)


def test_a_clean_run_is_valid_and_its_summary_is_json() -> None:
    summary = summarise(*sample([FAST]))
    assert summary.verdict is Validity.VALID
    assert json.loads(canonical_bytes(summary)) == to_plain(summary)


def test_the_same_record_gives_the_same_bytes() -> None:
    assert canonical_bytes(summarise(*sample([FAST, SLOW]))) == canonical_bytes(summarise(*sample([FAST, SLOW])))


def test_the_headline_names_the_faster_runtime_in_an_open_loop_by_latency() -> None:
    summary = summarise(*sample([SLOW, FAST]))
    assert summary.headline[0].startswith("vllm was ")
    assert "faster than transformers in mean TTFT" in summary.headline[0]
    assert "5 paired trials" in summary.headline[0]


def test_throughput_below_saturation_is_said_to_be_the_load() -> None:
    rows = {one.metric: one for one in summarise(*sample([FAST, SLOW])).comparisons}
    assert rows["output_tokens_per_s"].verdict is Verdict.OFFERED
    assert "Both kept up" in rows["output_tokens_per_s"].sentence


def test_a_closed_loop_compares_throughput_and_has_no_schedule() -> None:
    summary = summarise(*sample([FAST, SLOW], [Load(qps=None)]))
    rows = {one.metric: one for one in summary.comparisons}
    assert rows["output_tokens_per_s"].verdict is Verdict.WORSE
    assert summary.runs[0].latencies["lag"].mean.value is None
    assert summary.runs[0].latencies["ttft"].mean.value is None
    assert "throughput" in summary.headline[0]


def test_requests_of_the_warm_up_are_offered_but_not_counted() -> None:
    records = [
        one_request(scheduled_ns=second * 10**9, index=second, sent_ns=second * 10**9, outcome=Outcome.OK)
        for second in range(10)
    ]
    run = summarise(*one_run(records, Load(warmup_s=4.0))).runs[0]
    assert (run.requests, run.warmup_requests) == (6, 4)


def test_failed_requests_are_counted_and_have_no_latency() -> None:
    records = [one_request(), one_request(index=1, outcome=Outcome.HTTP_ERROR)]
    run = summarise(*one_run(records)).runs[0]
    assert (run.ok, run.errors) == (1, 1)
    assert run.latencies["ttft"].count == 1
    assert run.outcomes == {"http_error": 1, "ok": 1}


def test_the_price_of_a_million_tokens_turns_over_with_the_rate() -> None:
    run = summarise(*sample([FAST], price_per_hour=3.6)).runs[0]
    cost, rate = run.cost_per_million_output, run.output_tokens_per_s
    assert cost is not None
    assert rate.low is not None
    assert rate.value is not None
    assert cost.value == pytest.approx(1e3 / rate.value)
    assert cost.high == pytest.approx(1e3 / rate.low)


def test_a_benchmark_without_any_answer_says_so_first() -> None:
    summary = summarise(*one_run([one_request(outcome=Outcome.CONNECT_FAILED)]))
    assert summary.headline[0] == "Nothing was measured: no request was answered."
    assert summary.verdict is Validity.INVALID
