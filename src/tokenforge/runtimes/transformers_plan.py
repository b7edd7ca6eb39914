"""How Transformers' continuous batching is set up: its environment, and the size of its cache. Pure: no torch here.

Left alone, the engine takes 90 % of the host's memory for keys and values. On a CPU we give it a fixed budget instead,
and no more than its sequences can fill. On a GPU the card's memory is the engine's to use, so it sizes itself.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tokenforge.domain.errors import EngineError, Fault, InvalidInput
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.worker_needs import WORKER_REQUIREMENTS

RECOMMENDED = "5.19.0"
TORCH = "2.13.0"
SUPPORTED = ((5, 17), (5, 19))
"""The oldest and the newest minor version whose continuous batching this code was run on."""

QUANTS = {
    Accelerator.CPU: frozenset({Quant.FP32, Quant.BF16}),
    Accelerator.CUDA: frozenset({Quant.FP32, Quant.BF16, Quant.FP16}),
}

OWN_ARGS = frozenset({"torch_threads", "attn_implementation", "kv_cache_bytes", "batching"})
"""Options of ours, beside the fields of the engine's own ContinuousBatchingConfig."""

_VERSION = re.compile(r"^(\d+)\.(\d+)(\.\d+)?$")
_KV_CACHE_BYTES = 1 << 30
_CPU_PAGE_TOKENS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What a cache's size depends on. `attention_heads` and `kv_heads` are per layer."""

    layers: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    value_bytes: int

    def page_bytes(self, page_tokens: int) -> int:
        """Bytes of a page's keys and values in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.value_bytes * page_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """The cache's size. `num_blocks` None lets the engine take what the device has."""

    page_tokens: int
    num_blocks: int | None
    max_batch_tokens: int
    max_num_seqs: int


def make_recipe(version: str | None, accelerator: Accelerator) -> Recipe:
    """The recipe of a version (None: the recommended one). Raises InvalidInput outside the supported range."""
    version = version or RECOMMENDED
    match = _VERSION.match(version)
    if match is None or not SUPPORTED[0] <= (int(match[1]), int(match[2])) <= SUPPORTED[1]:
        hint = f"use {RECOMMENDED}; supported are {SUPPORTED[0][0]}.{SUPPORTED[0][1]} to {RECOMMENDED}"
        message = "its continuous batching is not known to work"
        raise InvalidInput([Fault(field="runtime", value=f"transformers@{version}", message=message, hint=hint)])
    full = version if match[3] else f"{version}.0"
    on_cpu = {"OMP_NUM_THREADS": "1"} if accelerator is Accelerator.CPU else {}
    return Recipe(
        version=full,
        requirements=(f"transformers=={full}", f"torch=={TORCH}", "accelerate", *WORKER_REQUIREMENTS),
        process_env={"TOKENIZERS_PARALLELISM": "false", **on_cpu},
    )


def plan_cache(
    shape: ModelShape, *, accelerator: Accelerator, max_model_len: int, args: Mapping[str, object]
) -> CachePlan:
    """Size the cache for a window; what `args` (`engine_args`) sets is kept.

    Raises EngineError when the budget cannot hold one request of the full window.
    """
    on_cpu = accelerator is Accelerator.CPU
    max_num_seqs = _count(args, "max_requests_per_batch", 64 if on_cpu else 256)
    batch_tokens = max(_count(args, "max_batch_tokens", 512 if on_cpu else 2048), max_num_seqs)
    page = _count(args, "page_size", _count(args, "block_size", _CPU_PAGE_TOKENS if on_cpu else 256))
    blocks: int | None = None
    if args.get("num_blocks") is not None:
        blocks = _count(args, "num_blocks", 1)
    elif on_cpu:
        budget = _count(args, "kv_cache_bytes", _KV_CACHE_BYTES)
        blocks = _affordable_tokens(shape, budget_bytes=budget, batch_tokens=batch_tokens) // page
        blocks = min(blocks, max_num_seqs * -(-max_model_len // page))
    if blocks is not None and blocks * page < max_model_len:
        raise EngineError(
            f"the KV cache holds {blocks * page} tokens, one request of the model's window needs {max_model_len}",
            hint="lower max_model_len, or raise engine_args.transformers.kv_cache_bytes",
        )
    return CachePlan(page_tokens=page, num_blocks=blocks, max_batch_tokens=batch_tokens, max_num_seqs=max_num_seqs)


def config_options(plan: CachePlan, *, args: Mapping[str, object], known: Collection[str]) -> dict[str, object]:
    """The plan in the words of the installed version, whose config has the fields `known`.

    A page was called a block before 5.18; the name is the one difference in what we set.
    """
    options: dict[str, object] = {
        "num_blocks": plan.num_blocks,
        "max_batch_tokens": plan.max_batch_tokens,
        "max_requests_per_batch": plan.max_num_seqs,
        "per_request_processors": True,
        "page_size" if "page_size" in known else "block_size": plan.page_tokens,
    }
    said = {name: value for name, value in args.items() if name not in OWN_ARGS and name not in _PLANNED}
    return options | said


_PLANNED = frozenset({"num_blocks", "max_batch_tokens", "max_requests_per_batch", "page_size", "block_size"})


def _affordable_tokens(shape: ModelShape, *, budget_bytes: int, batch_tokens: int) -> int:
    """Tokens whose keys and values, mask column and read-back copy fit the budget together.

    Without flash attention the engine keeps a mask of batch x (cache + batch) values and copies what it reads.
    """
    stored = 2 * shape.layers * shape.kv_heads * shape.head_dim
    read_back = (2 * shape.attention_heads + shape.kv_heads) * shape.head_dim
    return budget_bytes // ((stored + read_back + batch_tokens) * shape.value_bytes)


def _count(args: Mapping[str, object], name: str, default: int) -> int:
    value = args.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise EngineError(f"engine_args.transformers.{name} is {value!r}", hint="write a whole number of 1 or more")
    return value
