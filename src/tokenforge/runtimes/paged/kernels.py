"""The decode attention of one step over paged keys and values, in Triton. Imported on a GPU alone.

One program serves the query heads that share a key head, over one part of a sequence; a second kernel joins the parts
(as FlashDecoding does: https://pytorch.org/blog/flash-decoding/). Softmax and sums are float32.
"""

from typing import Any

import torch
import triton
import triton.language as tl

_BLOCK = 64
_PROGRAMS = 4 * 132
"""How many programs a launch aims at: a few for each multiprocessor of a Hopper card."""
_MOST_PARTS = 32


def attend_paged(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, step: Any, page_tokens: int, scale: float
) -> torch.Tensor:
    """Attention of one query a row: [rows, heads, size]. Keys and values are [tokens of all pages, key heads, size].

    `step` has `table` [slots, pages], `slots` [rows] and `lengths` [rows], the new token counted.
    """
    rows, heads, size = query.shape
    key_heads = keys.shape[1]
    group = heads // key_heads
    parts = max(1, min(_MOST_PARTS, _PROGRAMS // (rows * key_heads)))
    out = query.new_empty((rows, heads, size))
    partial = query.new_empty((rows, heads, parts, size), dtype=torch.float32) if parts > 1 else out
    weight = query.new_empty((rows, heads, parts), dtype=torch.float32) if parts > 1 else out
    _part[(rows, key_heads, parts)](
        query, keys, values, step.table, step.slots, step.lengths, partial, weight, scale, step.table.stride(0),
        query.stride(0), query.stride(1), heads, key_heads, group, max(16, triton.next_power_of_2(group)), size,
        page_tokens, _BLOCK, parts, num_warps=4, num_stages=3,
    )  # fmt: skip
    if parts > 1:
        _join[(rows, heads)](partial, weight, out, heads, size, parts, triton.next_power_of_2(parts), num_warps=2)
    return out


@triton.jit
def _part(
    query, keys, values, table, slots, lengths, partial, weight, scale, table_stride, row_stride, head_stride,
    head_count: tl.constexpr, key_head_count: tl.constexpr, group_size: tl.constexpr, group_pad: tl.constexpr,
    size: tl.constexpr, page_tokens: tl.constexpr, block: tl.constexpr, parts: tl.constexpr,
):  # fmt: skip
    """Attention over one part of a row; the only part writes the answer, of several each its own with its weight."""
    row, key_head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    slot = tl.load(slots + row)
    length = tl.load(lengths + row)
    share = tl.cdiv(tl.cdiv(length, parts), block) * block
    first = part * share
    last = tl.minimum(first + share, length)
    group = tl.arange(0, group_pad)
    lane = tl.arange(0, size)
    heads = key_head * group_size + group
    is_head = group < group_size
    q = tl.load(
        query + row * row_stride + heads[:, None] * head_stride + lane[None, :], mask=is_head[:, None], other=0.0
    )
    most = tl.full([group_pad], float("-inf"), tl.float32)
    total = tl.zeros([group_pad], tl.float32)
    acc = tl.zeros([group_pad, size], tl.float32)
    for start in range(first, last, block):
        at = start + tl.arange(0, block)
        is_in = at < last
        page = tl.load(table + slot * table_stride + at // page_tokens, mask=is_in, other=0).to(tl.int64)
        place = ((page * page_tokens + at % page_tokens) * key_head_count + key_head) * size
        k = tl.load(keys + place[:, None] + lane[None, :], mask=is_in[:, None], other=0.0)
        score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        score = tl.where(is_in[None, :], score, float("-inf"))
        higher = tl.maximum(most, tl.max(score, 1))
        share_of = tl.exp(score - higher[:, None])
        old = tl.exp(most - higher)
        v = tl.load(values + place[:, None] + lane[None, :], mask=is_in[:, None], other=0.0)
        acc = acc * old[:, None] + tl.dot(share_of.to(v.dtype), v, input_precision="ieee")
        total = total * old + tl.sum(share_of, 1)
        most = higher
    spot = row * head_count + heads
    if parts == 1:
        out = acc / total[:, None]
        tl.store(
            partial + spot[:, None] * size + lane[None, :], out.to(partial.dtype.element_ty), mask=is_head[:, None]
        )
    else:
        is_empty = total == 0.0
        out = acc / tl.where(is_empty, 1.0, total)[:, None]
        spot = spot * parts + part
        tl.store(partial + spot[:, None] * size + lane[None, :], out, mask=is_head[:, None])
        tl.store(weight + spot, tl.where(is_empty, float("-inf"), most + tl.log(total)), mask=is_head)


@triton.jit
def _join(
    partial, weight, out, head_count: tl.constexpr, size: tl.constexpr, parts: tl.constexpr, parts_pad: tl.constexpr
):
    """The parts of one row and head, by the weight each has (log of its sum of exponentials)."""
    spot = tl.program_id(0) * head_count + tl.program_id(1)
    part = tl.arange(0, parts_pad)
    lane = tl.arange(0, size)
    log_sum = tl.load(weight + spot * parts + part, mask=part < parts, other=float("-inf"))
    share = tl.exp(log_sum - tl.max(log_sum, 0))
    share = share / tl.sum(share, 0)
    each = tl.load(
        partial + (spot * parts + part)[:, None] * size + lane[None, :], mask=(part < parts)[:, None], other=0.0
    )
    tl.store(out + spot * size + lane, tl.sum(each * share[:, None], 0).to(out.dtype.element_ty))
