"""How large the paged engine is: batch, pages, and the sizes of its decode graphs. Pure: no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.domain.errors import EngineError

PAGED_ARGS = frozenset(
    {
        "batching",
        "compile",
        "cuda_graphs",
        "prefill_graphs",
        "memory_fraction",
        "page_size",
        "num_blocks",
        "prefix_sharing",
    }
    | {"max_batch_tokens", "max_requests_per_batch", "torch_threads", "attn_implementation"}
)
"""Every option the paged engine knows; one it does not know is the sign that Transformers' own was meant."""

_GRAPH_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
_SPARE_BYTES = 1 << 30
"""What is left free on a device beside the measured peak: graphs, and libraries that allocate for themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedPlan:
    """Sizes that hold for the engine's life. `pages` None: as many as the device's memory holds.

    `captures_prefill` also captures short prefills, for a sooner first token. `shares_prefixes`: a prompt that begins
    like an earlier one takes over its pages.

    One page is kept aside for rows that pad a graph, so a cache of `pages` serves `pages - 1`.
    """

    page_tokens: int
    pages: int | None
    batch_tokens: int
    max_num_seqs: int
    max_model_len: int
    memory_fraction: float
    compiles: bool
    captures: bool
    captures_prefill: bool
    shares_prefixes: bool

    @property
    def pages_per_seq(self) -> int:
        """Pages that a sequence of the whole window fills."""
        return pages_for(self.max_model_len, self.page_tokens)

    @property
    def warm_up_pages(self) -> int:
        """Pages for one full prefill batch, which is run once to see its peak of memory."""
        return 1 + pages_for(self.batch_tokens, self.page_tokens) + self.max_num_seqs


def plan_paged(args: Mapping[str, object], *, max_model_len: int, on_gpu: bool) -> PagedPlan:
    """The plan that `args` (`engine_args`) ask for. Raises EngineError naming the option that can't be."""
    max_num_seqs = _count(args, "max_requests_per_batch", 256 if on_gpu else 16)
    fraction = args.get("memory_fraction", 0.9)
    if not isinstance(fraction, int | float) or isinstance(fraction, bool) or not 0 < fraction <= 1:
        raise EngineError(f"engine_args.transformers.memory_fraction is {fraction!r}", hint="write a share, like 0.9")
    page = _count(args, "page_size", 64 if on_gpu else 16)
    pages = args.get("num_blocks")
    default = None if on_gpu else 1 + 4 * pages_for(max_model_len, page)
    return PagedPlan(
        page_tokens=page,
        pages=_count(args, "num_blocks", 1) if pages is not None else default,
        batch_tokens=max(_count(args, "max_batch_tokens", 4096 if on_gpu else 512), max_num_seqs),
        max_num_seqs=max_num_seqs,
        max_model_len=max_model_len,
        memory_fraction=float(fraction),
        compiles=_switch(args, "compile", on_gpu),
        captures=_switch(args, "cuda_graphs", on_gpu),
        captures_prefill=_switch(args, "prefill_graphs", on_gpu),
        shares_prefixes=_switch(args, "prefix_sharing", True),
    )


def pages_for(tokens: int, page_tokens: int) -> int:
    """Pages that `tokens` fill."""
    return -(-tokens // page_tokens)


def pages_in_memory(*, total_bytes: int, peak_bytes: int, page_bytes: int, plan: PagedPlan) -> int:
    """Pages that fit beside `peak_bytes` of weights and activations in the plan's share of the device.

    Never more than all sequences can fill. Raises EngineError when not even one sequence of the window fits.
    """
    free = int(total_bytes * plan.memory_fraction) - peak_bytes - _SPARE_BYTES
    pages = min(free // page_bytes, 1 + plan.max_num_seqs * plan.pages_per_seq)
    if pages < 1 + plan.pages_per_seq:
        message = f"{max(free, 0) / 1e9:.1f} GB are left for keys and values, too few for {plan.max_model_len} tokens"
        raise EngineError(message, hint="lower max_model_len or max_batch_tokens, or raise memory_fraction")
    return pages


def graph_sizes(max_num_seqs: int) -> tuple[int, ...]:
    """The batch sizes for which a decode graph is made, ascending; the last one holds every sequence."""
    return (*(size for size in _GRAPH_SIZES if size < max_num_seqs), max_num_seqs)


def _count(args: Mapping[str, object], name: str, default: int) -> int:
    value = args.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise EngineError(f"engine_args.transformers.{name} is {value!r}", hint="write a whole number of 1 or more")
    return value


def _switch(args: Mapping[str, object], name: str, default: bool) -> bool:
    value = args.get(name, default)
    if not isinstance(value, bool):
        raise EngineError(f"engine_args.transformers.{name} is {value!r}", hint="write true or false")
    return value
