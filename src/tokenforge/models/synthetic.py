"""Make a synthetic model: an architecture's true sizes, random weights, a real tokenizer, in the hub's layout.

Engines load it like any other model, so hardware and engines can be benchmarked with nothing to download. It is written
beside its final name and renamed when whole; a full disk or a kill leaves nothing that looks finished. It refuses to
write into a folder that holds anything. Its text means nothing: quality can't be measured on it.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput, StoreFailed
from tokenforge.models.architecture import Architecture, read_architecture
from tokenforge.models.safetensors_file import SHARD_BYTES, Layout, TensorBytes, write_checkpoint
from tokenforge.models.shapes import SUCCESSOR, Shape, all_shapes, find_shape
from tokenforge.models.tensors import Tensor, plan_tensors

_RECIPE = 2
"""Raise when the same shape and seed come to give other bytes, so that cached models are made anew."""
_SPARE_BYTES = 64 << 20
_NO_SPACE = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticFacts:
    """One line of a list of shapes."""

    model: str
    summary: str
    parameters: int
    weights_bytes: int
    dtype: str
    window: int


def list_synthetic() -> tuple[SyntheticFacts, ...]:
    """Every shape that `synthetic:NAME` knows, small to large."""
    return tuple(_facts(shape) for shape in all_shapes())


def make_synthetic(name: str, folder: Path, *, seed: int = 0, shard_bytes: int = SHARD_BYTES) -> Path:
    """Write the model into `folder` and return it; same name, seed, Python and numpy give the same bytes.

    Raises InvalidInput for an unknown name or a folder in use, StoreFailed when the disk is full or not writable.
    """
    shape = find_shape(name)
    architecture = read_architecture(shape.config)
    folder = folder.expanduser()
    _check_free(folder, architecture)
    partial = _make_partial(folder)
    try:
        _write_model(partial, shape, architecture, seed=seed, shard_bytes=shard_bytes)
        partial.chmod(0o755)
        partial.replace(folder)
    except OSError as error:
        raise _store_failed(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def partial_prefix(folder: Path) -> str:
    """How the names of unfinished siblings of `folder` begin."""
    return f".{folder.name}.partial-"


def fingerprint(name: str, *, seed: int) -> str:
    """Eight hex digits that change when the model's bytes would: shape, seed, recipe, or Python's text."""
    parts = {"config": find_shape(name).config, "seed": seed, "recipe": _RECIPE, "python": list(sys.version_info[:3])}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


def _write_model(partial: Path, shape: Shape, architecture: Architecture, *, seed: int, shard_bytes: int) -> None:
    from tokenforge.models.tokenizer_training import save_tokenizer

    (partial / "config.json").write_text(json.dumps(shape.config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_tokenizer(partial, vocab_size=architecture.vocab, window=architecture.window)
    layout = Layout(dtype=architecture.dtype, dtype_bytes=architecture.dtype_bytes, shard_bytes=shard_bytes)
    tensors = plan_tensors(shape.config)
    if shape.name == SUCCESSOR:
        from tokenforge.models.successor import successor_tensors

        write_checkpoint(partial, successor_tensors(tensors), layout, _recital_filler(partial, seed))
    else:
        write_checkpoint(partial, tensors, layout, _random_filler(architecture.dtype, seed))


def _random_filler(dtype: str, seed: int) -> TensorBytes:
    from tokenforge.models.random_weights import fill_tensor

    return lambda tensor: fill_tensor(tensor, dtype=dtype, seed=seed)


def _recital_filler(partial: Path, seed: int) -> TensorBytes:
    from tokenforge.models.random_weights import fill_tensor
    from tokenforge.models.successor import fill_successor, is_ring_tensor, successor_recital
    from tokenforge.models.tokenizers import load_tokenizer

    ring = successor_recital(load_tokenizer(partial)).ring

    def fill(tensor: Tensor) -> Iterable[memoryview]:
        if is_ring_tensor(tensor):
            return fill_successor(tensor, ring=ring, seed=seed)
        return fill_tensor(tensor, dtype="float32", seed=seed)

    return fill


def _check_free(folder: Path, architecture: Architecture) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        hint = "name a new or empty folder, or remove this one"
        raise InvalidInput([Fault(field="folder", value=str(folder), message="is in use", hint=hint)])
    above = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    needed, free = architecture.weights_bytes + _SPARE_BYTES, shutil.disk_usage(above).free
    if needed > free:
        message = f"{folder} needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free"
        raise StoreFailed(message, hint="Free some space, or name a folder on another disk (TOKENFORGE_HOME)")


def _make_partial(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=partial_prefix(folder), dir=folder.parent))
    except OSError as error:
        raise _store_failed(folder, error) from error


def _store_failed(folder: Path, error: OSError) -> StoreFailed:
    reason = error.strerror or str(error)
    free_space = "Free some space, or name a folder on another disk (TOKENFORGE_HOME)"
    hint = free_space if error.errno == _NO_SPACE else "Name a folder you can write to (TOKENFORGE_HOME)"
    return StoreFailed(f"{folder} could not be written: {reason}", hint=hint)


def _facts(shape: Shape) -> SyntheticFacts:
    architecture = read_architecture(shape.config)
    return SyntheticFacts(
        model=f"synthetic:{shape.name}",
        summary=shape.summary,
        parameters=architecture.parameters,
        weights_bytes=architecture.weights_bytes,
        dtype=architecture.dtype,
        window=architecture.window,
    )
