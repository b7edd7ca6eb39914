"""`POST /deploy`, `PATCH`, `POST /infer`: bodies to nouns, with every fault at once, and nouns back to JSON."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tokenforge.domain.deployment import Autoscale, DeploymentSpec
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Quant, RuntimeRef
from tokenforge.protocol.deploy import ClusterOffer, parse_deploy, parse_patch
from tokenforge.protocol.deployment_answer import spec_answer, spec_from_stored, spec_to_stored
from tokenforge.protocol.infer import Gathered, completion_body, parse_infer
from tokenforge.protocol.replica_rules import require_room
from tokenforge.protocol.sse import SseEvent

BODY = {"model": "meta-llama/Llama-3-8b-instruct", "runtime": "vllm", "quant": "fp16"}


def quants(runtime: RuntimeRef) -> frozenset[Quant]:
    if runtime.name not in {"vllm", "sim"}:
        raise InvalidInput([Fault(field="runtime", value=runtime.name, message="is not a known runtime")])
    return frozenset({Quant.FP16, Quant.BF16})


def deploy(**more: object) -> DeploymentSpec:
    return parse_deploy({**BODY, **more}, quants=quants, most_replicas=8)


def faults_of(**more: object) -> dict[str, Fault]:
    with pytest.raises(InvalidInput) as caught:
        deploy(**more)
    return {fault.field: fault for fault in caught.value.faults}


def test_the_first_specifications_body_is_read_as_it_stands() -> None:
    spec = deploy()
    assert (str(spec.model), str(spec.runtime), spec.quant) == (*list(BODY.values())[:2], Quant.FP16)
    assert (spec.name, spec.replicas, spec.target) == ("llama-3-8b-instruct-vllm", 1, Placement.LOCAL)


def test_all_faults_are_told_at_once() -> None:
    faults = faults_of(replicas=-1, quant="fp12", modle="x", runtime="vlm!", resources={"gpu": "two"})
    assert set(faults) == {"replicas", "quant", "modle", "runtime", "resources.gpu"}
    assert faults["modle"].hint == "did you mean model?"


def test_a_format_that_the_runtime_cannot_load_is_refused_with_what_it_can() -> None:
    fault = faults_of(quant="awq")["quant"]
    assert (fault.message, fault.hint) == ("vllm can't load it", "here it can load: bf16, fp16")


def test_an_unknown_runtime_is_a_fault_of_its_field() -> None:
    assert faults_of(runtime="vlm")["runtime"].message == "is not a known runtime"


def test_a_relative_folder_is_refused_since_the_server_has_another() -> None:
    assert "relative" in faults_of(model="./here")["model"].message


def test_a_target_that_is_not_here_is_refused() -> None:
    assert "not offered" in faults_of(target="kubernetes")["target"].message


def test_values_in_place_of_names_of_secrets_are_refused() -> None:
    assert "env" in faults_of(env=["HF_TOKEN=hf_canary"])


def test_a_patch_changes_what_it_names_alone() -> None:
    spec = deploy()
    assert parse_patch({"replicas": 3}, spec, quants=quants, most_replicas=8) == replace(spec, replicas=3)


def test_more_replicas_than_the_machine_is_for_are_refused() -> None:
    assert faults_of(replicas=9)["replicas"].hint == "up to 8"
    with pytest.raises(InvalidInput, match="up to 8"):
        parse_patch({"replicas": 9}, deploy(), quants=quants, most_replicas=8)


def test_an_empty_patch_is_refused_with_what_it_may_hold() -> None:
    with pytest.raises(InvalidInput, match="replicas"):
        parse_patch({}, deploy(), quants=quants, most_replicas=8)


def test_an_answered_spec_can_be_sent_again() -> None:
    spec = deploy(resources={"memory": "8Gi", "gpu": 1}, autoscale={"min": 1, "max": 2, "target": 8}, env=["A"])
    assert parse_deploy(spec_answer(spec), quants=quants, most_replicas=8) == spec


def test_a_stored_spec_keeps_its_secrets_and_an_answered_one_does_not() -> None:
    spec = deploy(engine_args={"api_key": "canary"})
    assert spec_from_stored(json.loads(json.dumps(spec_to_stored(spec)))) == spec
    assert "canary" not in json.dumps(spec_answer(spec))


def test_an_infer_body_becomes_a_streamed_completion_with_usage() -> None:
    asked = json.loads(completion_body(parse_infer({"model": "m", "prompt": "p", "temperature": 0.2, "top_p": 0.95})))
    assert (asked["max_tokens"], asked["top_p"], asked["stream"]) == (128, 0.95, True)
    assert asked["stream_options"] == {"include_usage": True}


def test_an_option_left_out_is_not_asked_of_the_runtime() -> None:
    assert not {"top_p", "seed", "stop"} & set(json.loads(completion_body(parse_infer({"model": "m", "prompt": "p"}))))


def test_all_faults_of_an_infer_body_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_infer({"prompt": 7, "max_tokens": 0, "temprature": 1})
    assert {fault.field for fault in caught.value.faults} == {"model", "prompt", "max_tokens", "temprature"}


def test_a_workers_stream_is_gathered_to_text_finish_and_usage() -> None:
    gathered = Gathered()
    events = [
        {"choices": [{"text": "Hel", "finish_reason": None}]},
        {"choices": [{"text": "lo", "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "more": {}}},
    ]
    texts = [gathered.take(SseEvent(data=json.dumps(event))) for event in events]
    gathered.take(SseEvent(data="[DONE]"))
    assert (texts, gathered.finish_reason, gathered.usage["total_tokens"]) == (["Hel", "lo", ""], "length", 5)
    assert gathered.is_done


def test_an_error_within_a_stream_is_kept() -> None:
    gathered = Gathered()
    gathered.take(SseEvent(data='{"error": {"message": "gone", "code": "engine_dead"}}'))
    assert gathered.error == {"message": "gone", "code": "engine_dead"}


def test_faults_beyond_the_schema_are_told_with_those_of_the_schema() -> None:
    faults = faults_of(replicas=99, quant="awq", target="kubernetes", tensor_parallel=0)
    assert set(faults) == {"replicas", "quant", "target", "tensor_parallel"}


def test_a_value_where_the_name_of_a_secret_belongs_is_not_repeated() -> None:
    fault = faults_of(env=["HF_TOKEN=sk-canary"])["env"]
    assert "sk-canary" not in str(fault)
    assert "names of secrets, never values" in str(fault)


def test_engine_arguments_are_refused_by_the_path_of_the_body() -> None:
    def check(runtime: RuntimeRef, args: Mapping[str, object]) -> None:
        raise InvalidInput(
            [Fault(field=f"engine_args.{runtime.name}.{name}", value=args[name], message="no") for name in args]
        )

    with pytest.raises(InvalidInput) as caught:
        parse_deploy(
            {**BODY, "engine_args": {"api_key": "sk-canary"}}, quants=quants, most_replicas=8, check_args=check
        )
    assert [fault.field for fault in caught.value.faults] == ["engine_args.api_key"]
    assert "sk-canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "default"),
    [("replicas", 1), ("quant", None), ("max_model_len", None), ("engine_args", {}), ("revision", None)],
)
def test_null_in_a_patch_gives_the_default_back(field: str, default: object) -> None:
    spec = deploy(replicas=3, max_model_len=128, engine_args={"a": 1}, revision="r")
    changed = parse_patch({field: None}, spec, quants=quants, most_replicas=8)
    assert getattr(changed, field) == default
    assert changed != spec


def test_autoscaling_is_switched_off_by_null() -> None:
    spec = deploy(autoscale={"min": 1, "max": 2, "target": 4})
    assert parse_patch({"autoscale": None}, spec, quants=quants, most_replicas=8).autoscale is None


def test_a_cluster_takes_what_it_can_load_with_or_without_gpus() -> None:
    asked: list[tuple[str, bool]] = []

    def quants_there(runtime: RuntimeRef, has_gpu: bool) -> frozenset[Quant]:
        asked.append((runtime.name, has_gpu))
        return frozenset({Quant.FP8}) if has_gpu else frozenset({Quant.FP32})

    offer = ClusterOffer(quants=quants_there, faults=lambda _: ())
    body = {"model": "a/b", "runtime": "vllm", "target": "kubernetes", "quant": "fp8", "replicas": 100}
    spec = parse_deploy({**body, "resources": {"gpu": 1}}, quants=quants, most_replicas=4, cluster=offer)
    assert (spec.target, spec.replicas) == (Placement.KUBERNETES, 100)
    with pytest.raises(InvalidInput, match="quant"):
        parse_deploy(body, quants=quants, most_replicas=4, cluster=offer)
    assert asked == [("vllm", True), ("vllm", False)]


def test_what_a_cluster_cannot_do_is_told_when_asked_and_when_changed() -> None:
    fault = Fault(field="env", value=["A"], message="has no Secret to come from here")
    offer = ClusterOffer(
        quants=lambda *_: frozenset(), faults=lambda spec: (fault,) if spec.env or spec.revision else ()
    )
    body = {"model": "a/b", "runtime": "vllm", "target": "kubernetes"}
    with pytest.raises(InvalidInput, match="has no Secret"):
        parse_deploy({**body, "env": ["A"]}, quants=quants, most_replicas=4, cluster=offer)
    spec = parse_deploy(body, quants=quants, most_replicas=4, cluster=offer)
    with pytest.raises(InvalidInput, match="has no Secret"):
        parse_patch({"revision": "2"}, spec, quants=quants, most_replicas=4, cluster=offer)
    assert parse_patch({"replicas": 9}, spec, quants=quants, most_replicas=4, cluster=offer).replicas == 9


RULE = {"min": 0, "max": 4, "target": 8}


def test_autoscale_is_read_with_its_defaults() -> None:
    spec = deploy(autoscale=RULE)
    assert spec.autoscale == Autoscale(min=0, max=4, target=8.0, ttft_ms=None, down_after_s=60.0, idle_s=300.0)
    assert spec.replicas == 1
    assert deploy(autoscale={**RULE, "min": 2}).replicas == 2
    assert deploy(autoscale=RULE, replicas=0).replicas == 0


def test_bounds_beyond_the_server_and_a_beginning_beyond_the_bounds_are_faults() -> None:
    faults = faults_of(autoscale={**RULE, "max": 9, "min": 3}, replicas=2)
    assert faults["autoscale.max"].hint == "up to 8"
    assert faults["replicas"].message == "is not within autoscale, from 3 to 9"


def test_replicas_of_an_autoscaled_deployment_are_not_set_by_hand() -> None:
    spec = deploy(autoscale=RULE)
    with pytest.raises(InvalidInput, match="is set by autoscale"):
        parse_patch({"replicas": 2}, spec, quants=quants, most_replicas=8)
    off = parse_patch({"replicas": 2, "autoscale": None}, deploy(autoscale=RULE), quants=quants, most_replicas=8)
    assert (off.replicas, off.autoscale) == (2, None)
    on = parse_patch({"autoscale": {**RULE, "min": 3}}, spec, quants=quants, most_replicas=8)
    assert on.replicas == 3


def test_an_unknown_runtime_is_told_once() -> None:
    def check(runtime: RuntimeRef, args: Mapping[str, object]) -> None:
        del args
        quants(runtime)

    with pytest.raises(InvalidInput) as caught:
        parse_deploy({**BODY, "runtime": "vlm"}, quants=quants, most_replicas=8, check_args=check)
    assert [fault.field for fault in caught.value.faults] == ["runtime"]


def test_all_deployments_together_have_no_more_than_the_machine_is_for() -> None:
    idle = deploy(autoscale=RULE)
    require_room(deploy(replicas=3), [deploy(replicas=4), idle], most=8)
    with pytest.raises(InvalidInput, match="TOKENFORGE_MOST_REPLICAS") as caught:
        require_room(deploy(replicas=4), [deploy(replicas=4), idle], most=8)
    (fault,) = caught.value.faults
    assert (fault.field, fault.value) == ("replicas", 4)
    assert fault.message == "is too many beside 5 of other deployments: 8 in all may run on this machine"


def test_what_a_cluster_runs_takes_no_room_here() -> None:
    there = replace(deploy(replicas=8), target=Placement.KUBERNETES)
    require_room(deploy(replicas=8), [there], most=8)
    require_room(there, [deploy(replicas=8)], most=8)
