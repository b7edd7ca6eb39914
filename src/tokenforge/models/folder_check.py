"""What a model folder must hold, and the hashes that say which model it was.

Weights are not read through (they may be hundreds of gigabytes): their identity is each file's name, size and header,
which holds the name, type, shape and place of every tensor. It refuses a folder in which any part is missing, and names
all that is missing at once; a shard that the index names and the disk lacks is missing too.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenforge.domain.errors import NotFound
from tokenforge.models.tokenizers import GENERATION_CONFIG_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, read_json

CONFIG_FILE = "config.json"
WEIGHTS_KEY = "weights"
_INDEX_FILE = "model.safetensors.index.json"
_HASHED = (CONFIG_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, GENERATION_CONFIG_FILE, _INDEX_FILE)
_MOST_HEADER_BYTES = 256 << 20


def read_config(folder: Path) -> Mapping[str, object]:
    """The folder's `config.json`. Raises NotFound when there is none."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder", hint="Check the path; a hub id is written owner/name")
    config = read_json(folder / CONFIG_FILE)
    if not config:
        raise NotFound(f"{folder} has no {CONFIG_FILE}", hint=_layout_hint())
    return config


def check_folder(folder: Path) -> None:
    """Raise NotFound that names every part a whole model lacks here."""
    read_config(folder)
    missing = [] if (folder / TOKENIZER_FILE).is_file() else [TOKENIZER_FILE]
    shards = _indexed_shards(folder)
    missing += [shard for shard in shards if not (folder / shard).is_file()]
    if not shards and not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise NotFound(f"{folder} has no {', '.join(missing)}", hint=_layout_hint())


def hash_folder(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of each small file that is there, and under `weights` one over names, sizes and headers."""
    hashes = {name: _file_sha256(folder / name) for name in _HASHED if (folder / name).is_file()}
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name}|{path.stat().st_size}\n".encode())
        digest.update(_header_bytes(path))
    return {**hashes, WEIGHTS_KEY: digest.hexdigest()}


def _indexed_shards(folder: Path) -> Iterable[str]:
    where = read_json(folder / _INDEX_FILE).get("weight_map")
    return sorted({str(name) for name in where.values()}) if isinstance(where, Mapping) else []


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header_bytes(path: Path) -> bytes:
    """The JSON header of a safetensors file. Raises NotFound when the file is cut short or is something else."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= _MOST_HEADER_BYTES else b""
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotFound(f"{path} is not a safetensors file", hint="Fetch or copy it again") from error
    whole = 8 + length + max(ends, default=0)
    if path.stat().st_size != whole:
        message = f"{path} has {path.stat().st_size:,} bytes, its header promises {whole:,}"
        raise NotFound(message, hint="It was cut short: fetch or copy it again")
    return header


def _layout_hint() -> str:
    return "A model folder holds config.json, tokenizer.json and *.safetensors, as save_pretrained writes them"
