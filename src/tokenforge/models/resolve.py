"""Resolve a Model to a folder that an engine can load, with the facts that plans and records need.

A synthetic model is made once and kept; a folder is checked; a hub id is taken from the hub's cache or fetched. Every
failure says what is missing and what to do. `describe_model` gives the facts alone: it makes and fetches no weights.
It refuses to hand out a folder that is not whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenforge.domain.model import ModelRef, ModelSource
from tokenforge.models.architecture import Architecture, read_architecture
from tokenforge.models.folder_check import check_folder, hash_folder, read_config
from tokenforge.models.hub import CONFIG_ONLY, MODEL_FILES, FetchSnapshot, fetch_snapshot
from tokenforge.models.shapes import find_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model on this machine. `window` is in tokens; `revision` the hub's commit, None for other sources.

    `hashes` are SHA-256 by file name; `weights` covers names, sizes and headers of the weight files, not every byte.
    """

    ref: ModelRef
    folder: Path
    window: int
    architecture: Architecture
    hashes: Mapping[str, str]
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What `tokenforge models describe` prints. KV bytes are for a 16-bit cache.

    `active_parameters` are those one token uses; `matmul_parameters` those that multiply for it (the roofline's N).
    `exact` is False when the family's layout is not known and the counts are those of the common one.
    """

    model: str
    family: str
    attention: str
    parameters: int
    active_parameters: int
    matmul_parameters: int
    exact: bool
    dtype: str
    quant_bits: int | None
    weights_bytes: int
    kv_per_token_bytes: int
    kv_full_window_bytes: int
    window: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    vocab: int
    experts: int
    experts_per_token: int


def resolve_model(ref: ModelRef, *, home: Path, offline: bool, fetch: FetchSnapshot = fetch_snapshot) -> ResolvedModel:
    """The model's folder and facts. Raises NotFound, InvalidInput (an unknown shape, a broken config), StoreFailed."""
    folder, revision = _find_folder(ref, home=home, offline=offline, fetch=fetch)
    check_folder(folder)
    architecture = read_architecture(read_config(folder))
    return ResolvedModel(
        ref=ref,
        folder=folder,
        window=architecture.window,
        architecture=architecture,
        hashes=hash_folder(folder),
        revision=revision,
    )


def describe_model(ref: ModelRef, *, home: Path, offline: bool, fetch: FetchSnapshot = fetch_snapshot) -> ModelFacts:
    """The model's facts from its config alone. Raises NotFound or InvalidInput."""
    del home  # a synthetic model is described from its shape, so nothing is made
    facts = read_architecture(_find_config(ref, offline=offline, fetch=fetch))
    return ModelFacts(
        model=str(ref),
        family=facts.family,
        attention=facts.attention,
        parameters=facts.parameters,
        active_parameters=facts.active_parameters,
        matmul_parameters=facts.matmul_parameters,
        exact=facts.is_known,
        dtype=facts.dtype,
        quant_bits=facts.quant_bits,
        weights_bytes=facts.weights_bytes,
        kv_per_token_bytes=facts.kv_bytes_per_token(),
        kv_full_window_bytes=facts.kv_bytes_per_token() * facts.window,
        window=facts.window,
        layers=facts.layers,
        hidden=facts.hidden,
        heads=facts.heads,
        kv_heads=facts.kv_heads,
        vocab=facts.vocab,
        experts=facts.experts,
        experts_per_token=facts.experts_per_token,
    )


def _find_folder(ref: ModelRef, *, home: Path, offline: bool, fetch: FetchSnapshot) -> tuple[Path, str | None]:
    if ref.source is ModelSource.SYNTHETIC:
        from tokenforge.models.model_cache import cached_synthetic

        return cached_synthetic(ref.name, home=home), None
    if ref.source is ModelSource.FOLDER:
        return _absolute(ref.name), None
    snapshot = fetch(ref.name, offline=offline, patterns=MODEL_FILES)
    return snapshot.folder, snapshot.revision


def _find_config(ref: ModelRef, *, offline: bool, fetch: FetchSnapshot) -> Mapping[str, object]:
    if ref.source is ModelSource.SYNTHETIC:
        return find_shape(ref.name).config
    if ref.source is ModelSource.FOLDER:
        return read_config(_absolute(ref.name))
    return read_config(fetch(ref.name, offline=offline, patterns=CONFIG_ONLY).folder)


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()
