"""A page of vLLM's in our words."""

from tokenforge.telemetry.vllm_mapping import MAPPED, translate

PAGE = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 100.0
# TYPE vllm:prompt_tokens_cached counter
vllm:prompt_tokens_cached_total{engine="0",model_name="m"} 40.0
# TYPE vllm:request_success counter
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 5.0
vllm:request_success_total{engine="1",finished_reason="length",model_name="m"} 2.0
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{engine="0",le="+Inf",model_name="m"} 10.0
vllm:iteration_tokens_total_count{engine="0",model_name="m"} 10.0
vllm:iteration_tokens_total_sum{engine="0",model_name="m"} 55.0
# TYPE python_gc gauge
python_gc 1.0
"""


def values(page: str) -> dict[str, float]:
    return {_shown(s.name, s.labels): s.value for family in translate(page) for s in family.samples}


def _shown(name: str, labels: dict[str, str]) -> str:
    return name + "".join(f"{{{k}={v}}}" for k, v in labels.items())


def test_engines_of_one_server_are_added_up() -> None:
    assert values(PAGE)["tokenforge_requests_running"] == 3
    assert values(PAGE)["tokenforge_requests_finished_total{finish_reason=length}"] == 7


def test_prompt_tokens_are_apart_by_their_source() -> None:
    found = values(PAGE)
    assert found["tokenforge_prompt_tokens_total{source=computed}"] == 60
    assert found["tokenforge_prompt_tokens_total{source=cached}"] == 40


def test_the_sizes_of_steps_become_a_summary() -> None:
    assert values(PAGE)["tokenforge_batch_tokens_sum"] == 55
    assert values(PAGE)["tokenforge_batch_tokens_count"] == 10


def test_what_the_page_does_not_have_is_absent() -> None:
    assert values("# TYPE up gauge\nup 1.0\n") == {}


def test_both_names_of_a_mapping_measure_the_same_kind_of_thing() -> None:
    assert all(theirs.endswith("_total") or not ours.name.endswith("_total") for theirs, ours in MAPPED.items())
