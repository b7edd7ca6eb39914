"""Which kind of store for blobs, and of shelf, a setting asks for."""

from collections.abc import Mapping
from pathlib import Path

from tokenforge.store.blobs.base import Blobs
from tokenforge.store.blobs.folder import FolderBlobs
from tokenforge.store.blobs.location import read_location
from tokenforge.store.shelf import FolderShelf, Shelf


def open_blobs(url: str | None, *, env: Mapping[str, str], default: Path) -> Blobs:
    """The folder `default`, or what `url` names. Raises InvalidInput for one that cannot be used."""
    location = default if url is None else read_location(url, env=env)
    if isinstance(location, Path):
        return FolderBlobs(location)
    from tokenforge.store.blobs.s3 import S3Blobs  # for those who need it

    return S3Blobs(location)


def open_shelf(url: str, *, env: Mapping[str, str], folder: str) -> Shelf:
    """The shelf of that name beside the blobs of `url`. Raises InvalidInput for one that cannot be used."""
    location = read_location(url, env=env)
    if isinstance(location, Path):
        return FolderShelf(location / folder)
    from tokenforge.store.blobs.s3 import S3Shelf  # for those who need it

    return S3Shelf(location, folder)
