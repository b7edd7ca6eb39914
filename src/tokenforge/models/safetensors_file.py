"""Write a checkpoint in the safetensors layout as a stream, one tensor in memory at a time.

The format is a length, a JSON header, then the bytes of each tensor in order; so the header can be written before any
value exists, and a model far larger than memory can be made. Large checkpoints are cut into shards with the hub's index
file. It refuses nothing about values: what the caller yields is what lands on the disk.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.models.tensors import Tensor

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000
_DTYPE_NAMES = {"float32": "F32", "bfloat16": "BF16"}
_HEADER_ALIGNMENT = 8

TensorBytes = Callable[[Tensor], Iterable[memoryview]]
"""Gives a tensor's little-endian bytes, in pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the tensors lie on disk: `dtype` as in config.json, and the most bytes of one file."""

    dtype: str
    dtype_bytes: int
    shard_bytes: int = SHARD_BYTES


def write_checkpoint(folder: Path, tensors: Sequence[Tensor], layout: Layout, fill: TensorBytes) -> None:
    """Write `model.safetensors`, or shards and their index. Raises OSError as the system gives it."""
    shards = _cut(tensors, layout)
    names = [WEIGHTS_FILE]
    if len(shards) > 1:
        names = [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
        _write_index(folder / INDEX_FILE, shards, names, layout)
    for name, shard in zip(names, shards, strict=True):
        _write_file(folder / name, shard, layout, fill)


def _cut(tensors: Sequence[Tensor], layout: Layout) -> list[list[Tensor]]:
    shards: list[list[Tensor]] = [[]]
    used = 0
    for tensor in tensors:
        size = tensor.elements * layout.dtype_bytes
        if shards[-1] and used + size > layout.shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(tensor)
        used += size
    return shards


def _write_index(path: Path, shards: Sequence[Sequence[Tensor]], names: Sequence[str], layout: Layout) -> None:
    total = sum(tensor.elements for shard in shards for tensor in shard) * layout.dtype_bytes
    where = {tensor.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    document = {"metadata": {"total_size": total}, "weight_map": where}
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_file(path: Path, tensors: Sequence[Tensor], layout: Layout, fill: TensorBytes) -> None:
    with path.open("wb") as file:
        file.write(_header(tensors, layout))
        for tensor in tensors:
            for piece in fill(tensor):
                file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _header(tensors: Sequence[Tensor], layout: Layout) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}  # loaders refuse a file without a format
    offset = 0
    for tensor in tensors:
        end = offset + tensor.elements * layout.dtype_bytes
        entries[tensor.name] = {
            "dtype": _DTYPE_NAMES[layout.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
