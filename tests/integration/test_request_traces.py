"""One request through a gateway and a real worker as one trace, in a receiver that reads the official protobuf."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import worker_rig
from gateway_rig import GOOD as GOOD_ANSWER
from gateway_rig import Handler, gateway, refusing, streaming
from otlp_sink import Seen, Sink, otlp_sink
from test_tracing import GOOD, SPAN, TRACE

from tokenforge.domain.observing import Observing
from tokenforge.telemetry.tracing.tracer import make_tracer


@dataclass(frozen=True, slots=True)
class Traced:
    """What a receiver saw of a request of so many tokens."""

    sink: Sink
    prompt_tokens: int
    output_tokens: int


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, models: Callable[[str], Path]) -> Traced:
    return asyncio.run(ask_once(tmp_path_factory.mktemp("traced"), models("tiny")))


async def ask_once(folder: Path, model: Path) -> Traced:
    """A worker that is traced, one streamed completion, and the end of the worker, which sends what waits."""
    with otlp_sink() as sink:
        launch = worker_rig.launch_of(model, engine_args={"step_ms": 10.0, "decode_ms": 0.0})
        launch = replace(launch, spec=replace(launch.spec, observing=Observing(traces_url=sink.url)))
        async with worker_rig.running(folder, launch) as worker:
            body = {
                "model": "tiny", "prompt": [5, 6, 7], "max_tokens": 20, "ignore_eos": True, "stream": True, "seed": 3,
            }  # fmt: skip
            headers = {"traceparent": GOOD, "x-request-id": "my-id"}
            answer = await worker_rig.post(worker, "/v1/completions", body, headers=headers)
            assert answer.status == 200
            bad = await worker_rig.post(worker, "/v1/completions", {"model": "other", "prompt": "a"})
            assert bad.status == 404
            await worker.stop(grace_s=10)
    return Traced(sink, 3, 20)


def root_of(traced: Traced) -> Seen:
    (root,) = [span for span in traced.sink.spans if span.parent_id == SPAN]
    return root


def test_the_worker_continues_the_callers_trace(traced: Traced) -> None:
    root = root_of(traced)
    assert (root.name, root.kind, root.trace_id) == ("POST /v1/completions", 2, TRACE)
    assert (root.attributes["tokenforge.request_id"], root.attributes["tokenforge.outcome"]) == ("my-id", "ok")


def test_the_engines_spans_lie_in_the_generation(traced: Traced) -> None:
    prepare, generation, finish = traced.sink.under(root_of(traced))
    assert [prepare.name, generation.name, finish.name] == ["prepare", "text_completion tiny", "finish"]
    assert [span.name for span in traced.sink.under(generation)] == ["queue", "prefill", "decode"]


def test_tokens_and_what_was_asked_have_opentelemetrys_names(traced: Traced) -> None:
    attributes = traced.sink.named("text_completion tiny").attributes
    assert attributes["gen_ai.operation.name"] == "text_completion"
    assert attributes["gen_ai.usage.input_tokens"] == traced.prompt_tokens
    assert attributes["gen_ai.usage.output_tokens"] == traced.output_tokens
    assert attributes["gen_ai.response.finish_reasons"] == ["length"]
    assert (attributes["gen_ai.request.seed"], attributes["gen_ai.request.max_tokens"]) == (3, 20)


def test_stages_add_up_to_the_whole(traced: Traced) -> None:
    root = root_of(traced)
    stages = [leaf for span in traced.sink.under(root) for leaf in (traced.sink.under(span) or [span])]
    assert [stage.name for stage in stages] == ["prepare", "queue", "prefill", "decode", "finish"]
    assert sum(stage.lasted_ns for stage in stages) == pytest.approx(root.lasted_ns, rel=0.01)


def test_an_error_is_told_as_one_and_begins_a_trace_of_its_own(traced: Traced) -> None:
    (failed,) = [span for span in traced.sink.spans if span.error is not None]
    assert (failed.error, failed.parent_id) == ("not_found", "")
    assert failed.trace_id != TRACE


def test_no_prompt_is_in_a_trace(traced: Traced) -> None:
    texts = [str(value) for span in traced.sink.spans for value in span.attributes.values()]
    assert not any("[5, 6, 7]" in text for text in texts)


async def through_a_gateway(folder: Path, *workers: Handler, traceparent: str = "") -> tuple[Sink, list[str]]:
    """One completion through a traced gateway; what was received, and the `traceparent` that each worker got."""
    with otlp_sink() as sink:
        tracer = make_tracer(Observing(traces_url=sink.url), service="gateway", version="1", instance="i")
        async with gateway(folder, tracer=tracer) as rig:
            await rig.deploy(*workers)
            headers = {"traceparent": traceparent} if traceparent else {}
            await rig.post("/v1/completions", {"model": "synthetic:tiny", "prompt": "a"}, **headers)
            asked = [got.get("traceparent", "") for _, _, got in rig.asked]
            await rig.until(lambda: rig.app.plane.in_flight == 0)
        assert tracer is not None
        await asyncio.to_thread(tracer.close)
    return sink, asked


async def test_the_gateways_relay_is_what_the_worker_is_asked_by(tmp_path: Path) -> None:
    sink, (asked,) = await through_a_gateway(tmp_path, streaming(*GOOD_ANSWER), traceparent=GOOD)
    root = sink.named("POST /v1/completions")
    assert (root.parent_id, [span.name for span in sink.under(root)]) == (SPAN, ["route", "relay"])
    assert asked == f"00-{TRACE}-{sink.named('relay').span_id}-01"


async def test_each_replica_that_was_tried_is_a_span_of_its_own(tmp_path: Path) -> None:
    sink, asked = await through_a_gateway(tmp_path, refusing(503), refusing(503))
    relays = [span for span in sink.spans if span.name == "relay"]
    assert len(relays) == len(asked) == 2
    assert {span.span_id for span in relays} == {header.split("-")[2] for header in asked}
    assert sink.named("POST /v1/completions").attributes["tokenforge.tries"] == 2


async def test_what_the_caller_left_out_is_passed_on_as_it_was(tmp_path: Path) -> None:
    unsampled = GOOD.removesuffix("1") + "0"
    sink, (asked,) = await through_a_gateway(tmp_path, streaming(*GOOD_ANSWER), traceparent=unsampled)
    assert (sink.spans, asked) == ([], unsampled)
