"""The attention that a Transformers model calls in our steps: write new keys and values into pages, attend to pages.

Registered under one name; each attention module carries the `Pages` it belongs to. Which kernels do the work is chosen
once, by device and number format, and named in the worker's info. The plain ones run anywhere and are what the others
are checked against.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "tokenforge_paged"
_REFUSED = ("sliding_window", "softcap", "s_aux")


@dataclass(slots=True, kw_only=True)
class DecodeStep:
    """One new token a row. `slots` [rows]; `lengths` [rows] with the new token; `table` [slots, pages] of page numbers;
    `places` [rows] is where each row's key and value go."""

    slots: torch.Tensor
    lengths: torch.Tensor
    table: torch.Tensor
    places: torch.Tensor


@dataclass(slots=True, kw_only=True)
class PrefillStep:
    """Packed chunks. `query_ends` and `key_ends` [chunks + 1] count tokens from 0; `read` is where the keys lie in the
    pages, None when every chunk begins its prompt, so that the fresh keys are all there are."""

    places: torch.Tensor
    query_ends: torch.Tensor
    key_ends: torch.Tensor
    most_queries: int
    most_keys: int
    read: torch.Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """What computes a prefill and a decode step: (query, keys, values, step, scale) to [tokens, heads, size].

    A prefill that reads its chunks' ends back from the device can't be captured.
    """

    name: str
    prefill: Callable[..., torch.Tensor]
    decode: Callable[..., torch.Tensor]
    captures_prefill: bool = True


class Pages:
    """Keys and values of every layer, and the step that is being computed."""

    def __init__(self, modules: list[Any], *, kernels: Kernels, page_tokens: int) -> None:
        self.kernels = kernels
        self.page_tokens = page_tokens
        self.step: DecodeStep | PrefillStep | None = None
        self._modules = modules
        self._store: torch.Tensor | None = None
        for place, module in enumerate(modules):
            module.paged, module.paged_place = self, place

    def allocate(self, pages: int, *, key_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> None:
        """Make room for `pages` pages in each layer; what was there is gone."""
        self._store = None
        shape = (len(self._modules), 2, pages * self.page_tokens, key_heads, head_dim)
        self._store = torch.zeros(shape, dtype=dtype, device=device)

    def free(self) -> None:
        """Give the memory back."""
        self._store = None

    def layer(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a layer: [tokens of all pages, key heads, size]."""
        assert self._store is not None
        return self._store[place, 0], self._store[place, 1]


def choose_kernels(*, device: torch.device, dtype: torch.dtype) -> Kernels:
    """Flash kernels where they run, plain ones elsewhere."""
    if device.type != "cuda":
        return Kernels(name="plain", prefill=prefill_plain, decode=decode_plain)
    from tokenforge.runtimes.paged.kernels import attend_paged

    if dtype in (torch.float16, torch.bfloat16):
        return Kernels(name="flash varlen + triton paged", prefill=prefill_flash, decode=attend_paged)
    return Kernels(name="sdpa + triton paged", prefill=prefill_plain, decode=attend_paged, captures_prefill=False)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def paged_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - the signature is Transformers'
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer. Query is [1, heads, tokens, size]; returns [1, tokens, heads, size]."""
    if refused := [name for name in _REFUSED if options.get(name) is not None]:
        raise NotImplementedError(f"paged attention knows no {', '.join(refused)}")
    pages: Pages = module.paged
    step = pages.step
    assert step is not None
    keys, values = pages.layer(module.paged_place)
    fresh_keys, fresh_values = key[0].transpose(0, 1), value[0].transpose(0, 1)
    keys.index_copy_(0, step.places, fresh_keys)
    values.index_copy_(0, step.places, fresh_values)
    scale = scaling if scaling is not None else float(query.shape[-1]) ** -0.5
    rows = query[0].transpose(0, 1)
    if isinstance(step, DecodeStep):
        out = pages.kernels.decode(rows, keys, values, step=step, page_tokens=pages.page_tokens, scale=scale)
    elif step.read is None:
        out = pages.kernels.prefill(rows, fresh_keys, fresh_values, step=step, scale=scale)
    else:
        out = pages.kernels.prefill(rows, keys[step.read], values[step.read], step=step, scale=scale)
    return out.unsqueeze(0), None


def prefill_flash(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, step: PrefillStep, scale: float
) -> torch.Tensor:
    """Packed causal attention by the flash kernel in torch; the last query of a chunk meets the last key."""
    out: torch.Tensor = torch.ops.aten._flash_attention_forward(
        query, keys, values, step.query_ends, step.key_ends, step.most_queries, step.most_keys,
        0.0, True, False, scale=scale,
    )[0]  # fmt: skip
    return out


def prefill_plain(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, step: PrefillStep, scale: float
) -> torch.Tensor:
    """The same, chunk by chunk."""
    query_ends, key_ends = step.query_ends.tolist(), step.key_ends.tolist()
    spans = zip(query_ends, query_ends[1:], key_ends, key_ends[1:], strict=False)
    return torch.cat([_attend(query[a:b], keys[c:d], values[c:d], scale) for a, b, c, d in spans])


def decode_plain(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, step: DecodeStep, page_tokens: int, scale: float
) -> torch.Tensor:
    """One query a row over its pages, row by row."""
    rows = []
    within = torch.arange(page_tokens, device=query.device)
    for row, (slot, length) in enumerate(zip(step.slots.tolist(), step.lengths.tolist(), strict=True)):
        pages = step.table[slot, : -(-length // page_tokens)].long()
        read = (pages[:, None] * page_tokens + within).flatten()[:length]
        rows.append(_attend(query[row : row + 1], keys[read], values[read], scale))
    return torch.cat(rows)


def _attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float) -> torch.Tensor:
    """Causal attention of the last `query` places of a sequence: [queries, heads, size] each."""
    queries, length = query.shape[0], keys.shape[0]
    mask = torch.ones(queries, length, dtype=torch.bool, device=query.device).tril(length - queries)
    heads_first = (part.transpose(0, 1).unsqueeze(0) for part in (query, keys, values))
    out = scaled_dot_product_attention(*heads_first, attn_mask=mask, scale=scale, enable_gqa=True)
    return out[0].transpose(0, 1)
