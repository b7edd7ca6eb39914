"""Named shapes: what they are, and what an unknown name is told."""

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.models.architecture import read_architecture
from tokenforge.models.shapes import all_shapes, find_shape
from tokenforge.models.synthetic import list_synthetic
from tokenforge.models.tensors import Fill, plan_tensors


def test_an_unknown_shape_is_told_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"synthetic:huge.*tiny.*llama-3-70b"):
        find_shape("huge")


@pytest.mark.parametrize(("name", "low", "high"), [("tiny", 4.5e6, 5.5e6), ("small", 95e6, 110e6)])
def test_cpu_shapes_have_the_size_they_are_named_for(name: str, low: float, high: float) -> None:
    facts = read_architecture(find_shape(name).config)
    assert low < facts.parameters < high
    assert facts.dtype == "float32"
    assert facts.attention == "gqa"


@pytest.mark.parametrize("name", ["llama-3.2-1b", "llama-3-8b", "llama-3-70b", "qwen2.5-7b", "mixtral-8x7b"])
def test_large_shapes_are_bfloat16(name: str) -> None:
    assert read_architecture(find_shape(name).config).dtype == "bfloat16"


def test_the_list_holds_every_shape_with_its_facts() -> None:
    listed = {facts.model: facts for facts in list_synthetic()}
    assert set(listed) == {f"synthetic:{shape.name}" for shape in all_shapes()}
    assert listed["synthetic:llama-3-8b"].parameters == 8_030_261_248


def test_tensor_names_are_unique() -> None:
    names = [tensor.name for tensor in plan_tensors(find_shape("mixtral-8x7b").config)]
    assert len(names) == len(set(names))


def test_a_tied_model_has_no_head_of_its_own() -> None:
    names = {tensor.name for tensor in plan_tensors(find_shape("llama-3.2-1b").config)}
    assert "lm_head.weight" not in names


def test_norms_are_one_and_biases_zero() -> None:
    fills = {tensor.name: tensor.fill for tensor in plan_tensors(find_shape("qwen2.5-7b").config)}
    assert fills["model.norm.weight"] is Fill.ONES
    assert fills["model.layers.3.self_attn.q_proj.bias"] is Fill.ZEROS
    assert fills["model.layers.3.self_attn.q_proj.weight"] is Fill.NORMAL


def test_a_family_without_a_known_layout_is_refused() -> None:
    with pytest.raises(InvalidInput, match="model_type"):
        plan_tensors({**find_shape("tiny").config, "model_type": "novel"})
