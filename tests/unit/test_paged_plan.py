"""The sizes of the paged engine."""

import pytest

from tokenforge.domain.errors import EngineError
from tokenforge.runtimes.paged.plan import PagedPlan, graph_sizes, pages_for, pages_in_memory, plan_paged

GB = 1_000_000_000


def plan(*, window: int = 2048, on_gpu: bool = True, **args: object) -> PagedPlan:
    """A plan for a GPU."""
    return plan_paged(args, max_model_len=window, on_gpu=on_gpu)


def test_a_gpu_gets_a_large_batch_and_sizes_its_cache_from_its_memory() -> None:
    sizes = plan()
    assert (sizes.max_num_seqs, sizes.batch_tokens, sizes.pages) == (256, 4096, None)
    assert sizes.compiles
    assert sizes.captures
    assert sizes.captures_prefill
    assert sizes.shares_prefixes


def test_a_cpu_compiles_and_captures_nothing() -> None:
    sizes = plan(on_gpu=False)
    assert not sizes.compiles
    assert not sizes.captures
    assert not sizes.captures_prefill
    assert sizes.pages == 1 + 4 * 2048 // 16


def test_a_batch_holds_at_least_one_token_of_each_sequence() -> None:
    assert plan(max_batch_tokens=64, max_requests_per_batch=128).batch_tokens == 128


@pytest.mark.parametrize(
    ("name", "value"),
    [("page_size", 0), ("max_batch_tokens", "many"), ("memory_fraction", 1.5), ("compile", 1), ("cuda_graphs", "no")],
)
def test_an_option_that_cannot_be_is_named_with_its_value(name: str, value: object) -> None:
    with pytest.raises(EngineError, match=f"{name} is {value!r}"):
        plan_paged({name: value}, max_model_len=2048, on_gpu=True)


def test_pages_fill_what_weights_and_activations_leave() -> None:
    pages = pages_in_memory(total_bytes=80 * GB, peak_bytes=18 * GB, page_bytes=8_388_608, plan=plan())
    left = 0.9 * 80 * GB - 18 * GB - (1 << 30)
    assert pages == left // 8_388_608


def test_no_more_pages_are_made_than_all_sequences_can_fill() -> None:
    few = plan(max_requests_per_batch=2)
    assert pages_in_memory(total_bytes=80 * GB, peak_bytes=GB, page_bytes=1024, plan=few) == 1 + 2 * few.pages_per_seq


def test_a_memory_that_holds_not_one_sequence_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngineError, match="2048 tokens") as told:
        pages_in_memory(total_bytes=20 * GB, peak_bytes=17 * GB, page_bytes=8_388_608, plan=plan())
    assert "max_model_len" in str(told.value.hint)


@pytest.mark.parametrize("most", [1, 3, 16, 256, 300, 1000])
def test_the_largest_graph_holds_every_sequence_and_the_sizes_ascend(most: int) -> None:
    sizes = graph_sizes(most)
    assert sizes[-1] == most
    assert list(sizes) == sorted(set(sizes))


def test_a_page_that_is_begun_is_a_page() -> None:
    assert [pages_for(tokens, 16) for tokens in (0, 1, 16, 17)] == [0, 1, 1, 2]
