"""Fetch a model from the hub into its own cache, or say in a sentence why it can't be had.

The hub's client is imported here alone and late. The first contact has a limit, so a machine without a network gets an
answer and not a silence; a download that has begun may take as long as it needs, the client limits each read. Messages
are ours: the client's may hold addresses with credentials.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenforge.domain.errors import NotFound, StoreFailed

FIRST_CONTACT_S = 10.0
MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "tokenizer.model")
CONFIG_ONLY = ("config.json",)
_IGNORED = ("original/*", "*.gguf", "onnx/*")
_OFFLINE_HINT = "Name a folder (./path), unset HF_HUB_OFFLINE, or download it first (hf download {name})"
_UNREACHABLE_HINT = "Check the network, name a folder (./path), or download it elsewhere and copy the folder"
_SPACE_HINT = "Free some space, or set HF_HOME to a folder on another disk"
_ACCESS_HINT = "Check the id's spelling; for a gated or private model accept its terms and log in (hf auth login)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A model in the hub's cache. `revision` is the commit it was fetched at."""

    folder: Path
    revision: str


class FetchSnapshot(Protocol):
    """How a hub model becomes a folder."""

    def __call__(self, name: str, *, offline: bool, patterns: Sequence[str]) -> Snapshot:
        """Raises NotFound with the id, the cause and what to do."""
        ...


def fetch_snapshot(
    name: str, *, offline: bool, patterns: Sequence[str], endpoint: str | None = None, cache: Path | None = None
) -> Snapshot:
    """The files of `name` that match `patterns`; the cache's when `offline` or when no hub is reached.

    `endpoint` and `cache` are the client's own unless given. Raises NotFound, and StoreFailed for a full disk.
    """
    if offline:
        found = _from_cache(name, patterns, cache=cache)
        if found is None:
            message = f"{name} is not in the local cache, and the hub is not asked (offline)"
            raise NotFound(message, hint=_OFFLINE_HINT.format(name=name))
        return found
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    # The bases of the client's own error are its HTTP library's root (which changed twice over versions) and OSError.
    failures: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, HFValidationError)
    try:
        HfApi(endpoint=endpoint).model_info(name, timeout=FIRST_CONTACT_S)
        place = snapshot_download(
            name, allow_patterns=list(patterns), ignore_patterns=list(_IGNORED), endpoint=endpoint, cache_dir=cache
        )
    except failures as error:
        fault = _explain(name, error)
        found = None if fault.hint == _ACCESS_HINT else _from_cache(name, patterns, cache=cache)
        if found is None:
            raise fault from error
        return found
    return _snapshot(place)


def _from_cache(name: str, patterns: Sequence[str], *, cache: Path | None) -> Snapshot | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        place = snapshot_download(
            name,
            allow_patterns=list(patterns),
            ignore_patterns=list(_IGNORED),
            local_files_only=True,
            cache_dir=cache,
        )
    except (OSError, HFValidationError):  # the client's "not in the cache" is a FileNotFoundError
        return None
    return _snapshot(place)


def _snapshot(place: object) -> Snapshot:
    folder = Path(str(place))
    return Snapshot(folder=folder, revision=folder.name)


def _explain(name: str, error: Exception) -> NotFound | StoreFailed:
    """The client's error as a sentence of ours: whose fault it is and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return NotFound(f"{name} is gated, and this login has no access", hint=_ACCESS_HINT)
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return NotFound(f"{name} is not on the hub, or is private", hint=_ACCESS_HINT)
    if isinstance(error, errors.OfflineModeIsEnabled):
        message = f"{name} is not in the local cache, and HF_HUB_OFFLINE forbids asking the hub"
        return NotFound(message, hint=_OFFLINE_HINT.format(name=name))
    if isinstance(error, errors.HfHubHTTPError):
        answer = getattr(error.response, "status_code", "an error")
        return NotFound(f"{name} can't be fetched: the hub answered {answer}", hint=_UNREACHABLE_HINT)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFailed(f"{name} does not fit on the disk of the hub's cache", hint=_SPACE_HINT)
    return NotFound(f"{name} can't be fetched: no hub is reached ({type(error).__name__})", hint=_UNREACHABLE_HINT)
