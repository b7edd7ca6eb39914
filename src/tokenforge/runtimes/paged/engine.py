"""Make a loaded Transformers model ready for our steps: which models fit, kernels, memory, compiling, graphs."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface

from tokenforge.domain.generation import Sampling
from tokenforge.runtimes.paged.attention import NAME, Pages, choose_kernels, paged_attention
from tokenforge.runtimes.paged.plan import PagedPlan, pages_in_memory
from tokenforge.runtimes.paged.runner import Runner
from tokenforge.runtimes.paged.schedule import Decode, Schedule, Sequence
from tokenforge.runtimes.transformers_plan import ModelShape

_HEAD_SIZES = (16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A model ready to run steps. `pages` counts the usable ones; `details` go into the worker's info."""

    runner: Runner
    schedule: Schedule
    plan: PagedPlan
    pages: int
    details: dict[str, str]


def why_not_paged(model: Any) -> str | None:
    """Why this model can't run on our pages, None when it can."""
    config = model.config.get_text_config()
    if not getattr(model, "_supports_attention_backend", False):
        return "its attention can't be replaced"
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if kinds:
        return f"it has layers of {', '.join(sorted(kinds))}"
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return "its attention has a sliding window"
    modules = _attention_modules(model)
    if len(modules) != config.num_hidden_layers:
        return f"{len(modules)} attention modules for {config.num_hidden_layers} layers"
    if (size := int(modules[0].head_dim)) not in _HEAD_SIZES:
        return f"its heads have {size} values"
    return None


def make_engine(model: Any, plan: PagedPlan, *, shape: ModelShape) -> Engine:
    """Switch the model's attention to ours and get ready; blocks for what compiling takes."""
    modules = _attention_modules(model)
    kernels = choose_kernels(device=model.device, dtype=model.dtype)
    pages = Pages(modules, kernels=kernels, page_tokens=plan.page_tokens)
    AttentionInterface.register(NAME, paged_attention)
    model.set_attn_implementation(NAME)
    sizes = {"key_heads": shape.kv_heads, "head_dim": shape.head_dim, "dtype": model.dtype, "device": model.device}
    on_gpu = model.device.type == "cuda"
    if plan.compiles:
        _compile_layers(model)
    count = plan.pages
    if on_gpu and count is None:
        count = _measured_pages(model, pages, plan, sizes=sizes, page_bytes=shape.page_bytes(plan.page_tokens))
    assert count is not None
    pages.allocate(count, **sizes)
    runner = Runner(model, pages, plan)
    _warm_up(runner, plan, count)
    if plan.captures:
        runner.capture()
    schedule = Schedule(
        pages=count, page_tokens=plan.page_tokens, batch_tokens=plan.batch_tokens, max_num_seqs=plan.max_num_seqs,
        is_sharing=plan.shares_prefixes,
    )  # fmt: skip
    decodes, prefills = runner.captured
    graphs = f"{decodes} decode, {prefills} prefill sizes" if on_gpu and decodes else "off"
    details = {
        "attention": kernels.name,
        "compile": "layers" if plan.compiles else "off",
        "cuda_graphs": graphs,
        "prefix_caching": str(plan.shares_prefixes).lower(),
    }
    return Engine(runner=runner, schedule=schedule, plan=plan, pages=count - 1, details=details)


def _measured_pages(model: Any, pages: Pages, plan: PagedPlan, *, sizes: dict[str, Any], page_bytes: int) -> int:
    """Pages that fit beside the peak of one full prefill batch, run with a small cache."""
    few = plan.warm_up_pages
    pages.allocate(few, **sizes)
    _warm_up(Runner(model, pages, plan), plan, few)
    torch.cuda.reset_peak_memory_stats()
    _warm_up(Runner(model, pages, plan), plan, few)
    peak = torch.cuda.max_memory_reserved() - few * page_bytes
    pages.free()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    others = total - free - torch.cuda.memory_reserved()
    return pages_in_memory(total_bytes=total, peak_bytes=peak + others, page_bytes=page_bytes, plan=plan)


def _warm_up(runner: Runner, plan: PagedPlan, pages: int) -> None:
    """A full prefill batch of several prompts, then two decode steps, of one row and of all: every path is compiled."""
    schedule = Schedule(
        pages=pages, page_tokens=plan.page_tokens, batch_tokens=plan.batch_tokens, max_num_seqs=plan.max_num_seqs,
        is_sharing=False,
    )  # fmt: skip
    tokens = min(plan.batch_tokens // 2, plan.max_model_len - 8, (pages - 1) * plan.page_tokens // 2 - 4)
    for number in range(2):
        sampling = Sampling(max_tokens=4, temperature=float(number), top_k=5 * number)
        schedule.add(
            Sequence(
                key=f"warm-up-{number}",
                prompt=tuple(1 + place % 7 for place in range(max(tokens, 1))),
                sampling=sampling,
                eos_ids=frozenset(),
                on_output=lambda _: None,
            )
        )
    while (step := schedule.next_step()) is not None:
        runner.launch(step).wait()
    if schedule.running:
        runner.launch(Decode((schedule.running[0],))).wait()


def _compile_layers(model: Any) -> None:
    """Fuse what surrounds the matrix products, one compiled code for all layers; attention stays outside.

    The tuning makes products with a single row a kernel of their own, which reads weights faster than the library's.
    """
    names = set(model._no_split_modules or ())
    for module in model.modules():
        if type(module).__name__ in names:
            module.compile(dynamic=True, options={"coordinate_descent_tuning": True})


def _attention_modules(model: Any) -> list[Any]:
    """Modules that call the attention interface, in the order of their layers."""
    found = [m for m in model.modules() if hasattr(m, "layer_idx") and hasattr(m, "head_dim") and hasattr(m, "o_proj")]
    return sorted(found, key=lambda module: int(module.layer_idx))
