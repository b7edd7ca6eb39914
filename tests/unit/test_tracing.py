"""Trace context, spans on the wire by the official classes, and an exporter that never fills the memory."""

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_sink import otlp_sink, read_request

from tokenforge.domain.observing import Observing
from tokenforge.telemetry.tracing.context import TraceContext, read_traceparent
from tokenforge.telemetry.tracing.exporter import MOST_WAITING, Exporter, post_to
from tokenforge.telemetry.tracing.otlp import export_request
from tokenforge.telemetry.tracing.span import Span, SpanKind, Value
from tokenforge.telemetry.tracing.tracer import Tracer, make_tracer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
ONE = Span(
    name="chat tiny", kind=SpanKind.INTERNAL, trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN),
    parent_id=b"\1" * 8, began_ns=1_000, ended_ns=5_000,
)  # fmt: skip
RESOURCE = {"service.name": "test"}


def on_the_wire(span: Span, *, offset_ns: int = 0) -> bytes:
    return export_request([span], resource=RESOURCE, scope=("tokenforge", "1"), unix_offset_ns=offset_ns)


def test_a_callers_context_is_read_and_written_back() -> None:
    context = read_traceparent(GOOD)
    assert context == TraceContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN), True)
    assert context.header() == GOOD


@pytest.mark.parametrize(
    "said",
    [
        "", "00", GOOD.upper(), GOOD + "-x", GOOD.replace("00-", "ff-", 1), f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-1", "é" * 55,
    ],
)  # fmt: skip
def test_a_context_that_breaks_the_rules_counts_as_none(said: str) -> None:
    assert read_traceparent(said) is None


def test_a_later_version_may_say_more() -> None:
    assert read_traceparent(GOOD.replace("00-", "01-", 1) + "-more") is not None


def test_a_span_is_read_by_the_official_classes_as_it_was_written() -> None:
    attributes: dict[str, Value] = {
        "text": "héllo", "count": 3, "negative": -7, "share": 0.25, "yes": True, "list": ("a", "b"), "large": 2**40,
    }  # fmt: skip
    (seen,) = read_request(on_the_wire(replace(ONE, attributes=attributes), offset_ns=10**18))
    assert (seen.name, seen.kind, seen.service) == ("chat tiny", 1, "test")
    assert (seen.trace_id, seen.span_id, seen.parent_id) == (TRACE, SPAN, "01" * 8)
    assert (seen.began_ns, seen.lasted_ns) == (10**18 + 1_000, 4_000)
    assert seen.attributes == {**attributes, "list": ["a", "b"]}
    assert seen.error is None


def test_an_error_is_one_on_the_wire() -> None:
    (seen,) = read_request(on_the_wire(replace(ONE, error="overloaded", parent_id=b"")))
    assert (seen.error, seen.parent_id) == ("overloaded", "")


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1)), max_size=8))
def test_any_attributes_survive(attributes: dict[str, str | bool | int]) -> None:
    (seen,) = read_request(on_the_wire(replace(ONE, attributes=attributes)))
    assert seen.attributes == attributes


class Kept:
    """A way to send that keeps what it is given, or refuses."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.bodies: list[bytes] = []
        self.refuses = refuses

    def __call__(self, body: bytes) -> None:
        if self.refuses:
            raise OSError("no such host")
        self.bodies.append(body)


def exporter(send: Kept) -> Exporter:
    return Exporter(send, resource=RESOURCE, version="1", every_s=0.01)


def test_what_waits_is_sent_before_the_end() -> None:
    kept = Kept()
    sending = exporter(kept)
    sending.take([ONE] * 3)
    sending.close()
    assert sum(len(read_request(body)) for body in kept.bodies) == 3


def test_a_receiver_that_is_away_is_said_once_and_fills_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    sending = exporter(Kept(refuses=True))
    for _ in range(20):
        sending.take([ONE] * 512)
    sending.close()
    assert sending.dropped == 20 * 512
    assert len([r for r in caplog.records if "cannot be sent" in r.message]) == 1


def test_a_receiver_that_is_away_is_not_asked_again_at_the_end() -> None:
    asked = []

    def send(body: bytes) -> None:
        asked.append(len(read_request(body)))
        raise OSError("away")

    sending = Exporter(send, resource=RESOURCE, version="1", every_s=60.0)
    sending.take([ONE])
    sending._flush()
    sending.take([ONE] * 2)
    sending.close()
    assert (asked, sending.dropped) == ([1], 3)


def test_a_receiver_that_takes_too_little_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    sending = Exporter(kept, resource=RESOURCE, version="1", every_s=0.05)
    for _ in range(3):
        sending.take([ONE] * (MOST_WAITING + 1))
    end_s = time.monotonic() + 10
    while not caplog.records and time.monotonic() < end_s:
        time.sleep(0.01)
    sending.close()
    assert [r.message for r in caplog.records if "more traces come" in r.message] == [
        f"more traces come than the receiver takes; {3 * (MOST_WAITING + 1)} spans were dropped so far"
    ]


def test_more_than_may_wait_is_dropped_and_counted() -> None:
    sending = Exporter(Kept(), resource=RESOURCE, version="1", every_s=60.0)
    sending.take([ONE] * MOST_WAITING)
    sending.take([ONE])
    assert sending.dropped == 1
    sending._stop.set()


def test_spans_reach_a_receiver_over_http_with_the_headers_that_were_asked_for() -> None:
    with otlp_sink() as sink:
        sending = Exporter(post_to(sink.url, {"x-key": "secret"}), resource=RESOURCE, version="1", every_s=0.01)
        sending.take([ONE])
        sending.close()
    assert sink.named("chat tiny").trace_id == TRACE
    assert (sink.headers["x-key"], sink.headers["content-type"]) == ("secret", "application/x-protobuf")


def tracer(share: float) -> tuple[Tracer, Kept]:
    kept = Kept()
    return Tracer(exporter(kept), share=share, chance=random.Random(1)), kept


def test_who_asks_decides_whether_it_is_traced() -> None:
    made, _ = tracer(share=0.0)
    assert made.begin(GOOD) is not None
    other, _ = tracer(share=1.0)
    assert other.begin(GOOD.removesuffix("1") + "0") is None
    made.close()
    other.close()


def test_else_a_share_is() -> None:
    made, _ = tracer(share=0.25)
    traced = sum(made.begin("") is not None for _ in range(4000))
    assert 900 < traced < 1100
    made.close()


def test_a_trace_continues_that_of_its_caller() -> None:
    made, kept = tracer(share=1.0)
    trace = made.begin(GOOD)
    assert trace is not None
    trace.add("prefill", 1, 2, parent_id=trace.root.span_id)
    trace.end("POST /x", 0, attributes={}, error=None, ended_ns=3)
    made.close()
    child, root = (span for body in kept.bodies for span in read_request(body))
    assert (root.trace_id, root.parent_id, child.parent_id) == (TRACE, SPAN, root.span_id)


def test_without_an_address_nothing_is_made() -> None:
    assert make_tracer(Observing(), service="s", version="1", instance="i") is None
