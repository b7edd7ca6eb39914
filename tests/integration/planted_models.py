"""Copies of a synthetic model with one thing changed: what a wrong engine would make of the right weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

Weights = NDArray[np.float32]
GROUP = 64


def with_config(model: Path, folder: Path, **fields: object) -> Path:
    """Other words in `config.json`, and in `generation_config.json` those of them that it has."""
    shutil.copytree(model, folder)
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        if path.exists():
            config = json.loads(path.read_text())
            known = fields if name == "config.json" else {key: fields[key] for key in fields.keys() & config.keys()}
            path.write_text(json.dumps(config | known))
    return folder


def with_weights(model: Path, folder: Path, change: Callable[[str, Weights], Weights]) -> Path:
    """Every weight of the layers changed by `change(name, weights)`."""
    shutil.copytree(model, folder)
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        changed = {name: change(name, each) if "_proj" in name else each for name, each in tensors.items()}
        save_file(changed, path, metadata={"format": "pt"})
    return folder


def in_four_bits(_: str, weights: Weights) -> Weights:
    """Rounded to the 15 steps of a symmetric 4-bit number, a scale for each 64 weights."""
    groups = weights.reshape(-1, GROUP)
    step = np.abs(groups).max(axis=1, keepdims=True) / np.float32(7)
    return np.asarray((np.round(groups / step) * step).reshape(weights.shape), dtype=np.float32)


def attentive(name: str, weights: Weights) -> Weights:
    """Queries and keys four times as large: random weights attend almost evenly, so positions hardly matter in them."""
    return weights * np.float32(4) if "q_proj" in name or "k_proj" in name else weights
