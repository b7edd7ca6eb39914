"""Values of synthetic weights: normal with the spread a fresh model has, from a seed, in pieces.

Every piece of every tensor has a stream of its own, named by seed, tensor and piece; so values depend neither on the
order of tensors nor on how many threads draw them. bfloat16 is made by rounding to nearest even on the bits, because
numpy has no such type.
"""

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tokenforge.models.tensors import Fill, Tensor

STD = 0.02
_PIECE_ELEMENTS = 1 << 22
_MOST_THREADS = 16


def fill_tensor(tensor: Tensor, *, dtype: str, seed: int) -> Iterator[memoryview]:
    """The tensor's bytes in pieces of at most 16 MiB; drawn by several threads, given in order."""
    starts = range(0, tensor.elements, _PIECE_ELEMENTS)
    if len(starts) == 1:
        yield _as_bytes(_draw(tensor, 0, seed=seed), dtype)
        return
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda start: _as_bytes(_draw(tensor, start, seed=seed), dtype), starts)


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of `values` as bfloat16, rounded to nearest, ties to even. Finite values only."""
    bits = values.view(np.uint32)
    rounded: NDArray[np.uint32] = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def _draw(tensor: Tensor, start: int, *, seed: int) -> NDArray[np.float32]:
    count = min(_PIECE_ELEMENTS, tensor.elements - start)
    if tensor.fill is not Fill.NORMAL:
        return np.full(count, 1.0 if tensor.fill is Fill.ONES else 0.0, dtype=np.float32)
    stream = np.random.default_rng([seed, zlib.crc32(tensor.name.encode()), start // _PIECE_ELEMENTS])
    return stream.standard_normal(count, dtype=np.float32) * np.float32(STD)


def _as_bytes(values: NDArray[np.float32], dtype: str) -> memoryview:
    return to_bfloat16(values).data.cast("B") if dtype == "bfloat16" else values.data.cast("B")
