"""Keeping a benchmark's files for good: bytes first, rows after, so that no row is without its file.

The order is: say which bytes are coming (so that nobody clears them away), send them, then name them in the same step
that ends the run. A process killed anywhere in between leaves bytes that no row names; `sweep` removes those.
"""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from tokenforge.domain.errors import StoreFailed, StoreUnavailable
from tokenforge.domain.kept import Artifact, KeptBenchmark
from tokenforge.store.artifacts import MEDIA_TYPES, RECORD_FILE, store_failed
from tokenforge.store.base import BlobRows, Ending, Kept, Lease
from tokenforge.store.blobs.base import Blobs, blob_of

_AT_ONCE = 500

GRACE_S = 3600.0
"""How long bytes that nobody needs stay: whoever sent them may be about to say what for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Where bytes go, and the rows that say what they are."""

    blobs: Blobs
    rows: BlobRows
    kept: Kept

    async def keep(
        self, folder: Path, kept: KeptBenchmark, *, lease: Lease | None = None, ending: Ending | None = None
    ) -> KeptBenchmark:
        """Keep the files in `folder` that a benchmark has, with its rows. The same again is no error.

        Raises LeaseLost, StoreUnavailable (try again), StoreFailed (it will not get better).
        """
        artifacts = await asyncio.to_thread(_artifacts, folder)
        if RECORD_FILE not in {artifact.name for artifact in artifacts}:
            raise StoreFailed(f"{folder} holds no {RECORD_FILE}, so there is nothing to keep")
        await self.rows.claim(artifacts)
        for artifact in artifacts:
            blob = await self.blobs.put(folder / artifact.name, media_type=artifact.media_type)
            if blob.sha256 != artifact.sha256:
                raise StoreUnavailable(f"{folder / artifact.name} changed while it was kept")
        whole = replace(kept, artifacts=artifacts)
        await self.kept.keep(whole, lease=lease, ending=ending)
        return whole

    async def sweep(self, *, grace_s: float = GRACE_S) -> int:
        """Remove bytes that no row has needed for `grace_s`. How many files."""
        count = 0
        while unneeded := await self.rows.unneeded(limit=_AT_ONCE, grace_s=grace_s):
            for sha256 in unneeded:
                await self.blobs.delete(sha256)
            await self.rows.removed(unneeded)
            count += len(unneeded)
        return count


def _artifacts(folder: Path) -> tuple[Artifact, ...]:
    found = []
    for name, media_type in MEDIA_TYPES.items():
        path = folder / name
        try:
            if path.is_file():
                blob = blob_of(path)
                found.append(Artifact(name=name, sha256=blob.sha256, size_bytes=blob.size_bytes, media_type=media_type))
        except OSError as error:
            raise store_failed(path, error) from error
    return tuple(found)
