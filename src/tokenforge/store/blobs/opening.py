"""Which kind of store for blobs a setting asks for."""

from collections.abc import Mapping
from pathlib import Path

from tokenforge.store.blobs.base import Blobs
from tokenforge.store.blobs.folder import FolderBlobs
from tokenforge.store.blobs.location import read_location


def open_blobs(url: str | None, *, env: Mapping[str, str], default: Path) -> Blobs:
    """The folder `default`, or what `url` names. Raises InvalidInput for one that cannot be used."""
    location = default if url is None else read_location(url, env=env)
    if isinstance(location, Path):
        return FolderBlobs(location)
    from tokenforge.store.blobs.s3 import S3Blobs  # for those who need it

    return S3Blobs(location)
