"""Tokens that were delivered, and what the access log says of a request. Pure."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from tokenforge.gateway.access_log import FAILURES_A_SECOND, AccessLog
from tokenforge.gateway.usage import Usage, usage_in, usage_of_stream
from tokenforge.telemetry.gateway_metrics import GatewayMetrics

TOLD = b'data: {"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":5,"total_tokens":13}}\n\n'
DONE = b"data: [DONE]\n\n"
PIECE = b'data: {"choices":[{"text":" word"}]}\n\n'


def test_the_last_event_of_a_stream_tells_its_usage() -> None:
    assert usage_of_stream(PIECE + TOLD + DONE, events=7) == Usage(
        prompt_tokens=8, completion_tokens=5, source="engine"
    )


def test_of_a_stream_that_was_cut_as_much_was_used_as_was_delivered() -> None:
    assert usage_of_stream(PIECE, events=3) == Usage(prompt_tokens=0, completion_tokens=3, source="events")


def test_the_mark_of_the_end_is_no_token() -> None:
    assert usage_of_stream(PIECE + DONE, events=4).completion_tokens == 3


@pytest.mark.parametrize(
    "end",
    [
        b'"usage": { "prompt_tokens": 8, "total_tokens": 13, "completion_tokens": 5, "prompt_tokens_details": null }}',
        b'{"text":"","usage":{"prompt_tokens":8,"completion_tokens":5,"completion_tokens_details":{"a":1}}}\n',
        b'data: {"usage":null}\n\ndata: {"usage":{"prompt_tokens":8,"completion_tokens":5}}\n\n',
    ],
)
def test_usage_is_read_however_an_engine_writes_it(end: bytes) -> None:
    assert usage_in(end) == Usage(prompt_tokens=8, completion_tokens=5, source="engine")


@pytest.mark.parametrize("end", [b"", b'"usage":null}', b'{"usage"', rb'{"text":"\"usage\":{\"prompt_tokens\":1}"}'])
def test_where_no_usage_is_told_there_is_none(end: bytes) -> None:
    assert usage_in(end) is None


@given(st.binary(max_size=300))
def test_whatever_an_answer_ends_with_reading_it_does_not_fail(end: bytes) -> None:
    assert usage_of_stream(end, events=end.count(b"\n\n")).completion_tokens >= 0


def log_of(lines: list[Mapping[str, object]], *, well_every: int = 10) -> AccessLog:
    return AccessLog(write=lines.append, clock=lambda: 1.0, well_every=well_every)


def test_of_requests_that_went_well_every_so_manyth_is_told() -> None:
    assert sum(log.wants("ok") for log in [log_of([])] for _ in range(100)) == 10


def test_every_failure_is_told_until_there_are_too_many_in_a_second() -> None:
    lines: list[Mapping[str, object]] = []
    log = log_of(lines)
    told = [log.wants("overloaded") for _ in range(FAILURES_A_SECOND + 7)]
    log.tell({"outcome": "overloaded"})
    log.tell({"outcome": "overloaded"})
    assert told == [True] * FAILURES_A_SECOND + [False] * 7
    assert lines == [{"outcome": "overloaded", "failures_not_told": 7}, {"outcome": "overloaded"}]


def test_the_page_has_requests_durations_in_their_buckets_and_tokens() -> None:
    metrics = GatewayMetrics(CollectorRegistry())
    for outcome, duration_s in (("ok", 0.001), ("ok", 5.0), ("overloaded", 5000.0)):
        metrics.count("/infer", outcome, duration_s=duration_s)
    metrics.delivered(Usage(prompt_tokens=8, completion_tokens=5, source="engine"))
    page = generate_latest(metrics.registry).decode()
    assert 'tokenforge_http_requests_total{outcome="ok",path="/infer"} 2.0' in page
    assert 'tokenforge_http_request_duration_seconds_bucket{le="0.001",path="/infer"} 1.0' in page
    assert 'tokenforge_http_request_duration_seconds_bucket{le="1000.0",path="/infer"} 2.0' in page
    assert 'tokenforge_http_request_duration_seconds_count{path="/infer"} 3.0' in page
    assert 'tokenforge_http_usage_tokens_total{kind="completion",source="engine"} 5.0' in page


def test_paths_and_outcomes_without_end_do_not_grow_the_page_without_end() -> None:
    metrics = GatewayMetrics(CollectorRegistry())
    for number in range(5000):
        metrics.count("/infer", f"code-{number}", duration_s=0.1)
    assert len(generate_latest(metrics.registry).splitlines()) < 300
