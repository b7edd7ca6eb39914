"""The files of a run over HTTP: by a link of the artifact store where it gives one, through the gateway otherwise.

A link works for whoever has it and for a quarter of an hour: it is given to callers that may read the run, and logged
nowhere. Until a benchmark is kept for good its files are where they are being written, on this machine.
"""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from tokenforge.domain.errors import NotFound
from tokenforge.domain.kept import Artifact
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.gateway.admin.operation import json_answer
from tokenforge.store.artifacts import MEDIA_TYPES
from tokenforge.store.base import Kept
from tokenforge.store.blobs.base import Blobs

LINK_S = 900.0
_SANDBOXED = {"cache-control": "private, no-cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """What was kept, and where its bytes are."""

    kept: Kept
    blobs: Blobs

    async def list(self, benchmark: QueuedBenchmark, run: QueuedRun) -> Response:
        """Each with its size, its address here, and (from a store that gives them) a link without a key."""
        rows = [await self._row(run, artifact) for artifact in await self._artifacts(benchmark)]
        if not rows:
            rows = [
                {"name": path.name, "bytes": path.stat().st_size, "url": _url(run, path.name)}
                for path in _being_written(benchmark)
            ]
        return json_answer({"artifacts": rows})

    async def answer(self, request: Request, benchmark: QueuedBenchmark, run: QueuedRun, name: str) -> Response:
        """The file, or a redirect to it. Raises NotFound."""
        del request
        for artifact in await self._artifacts(benchmark):
            if artifact.name == name:
                place = await self.blobs.place(artifact.sha256, ttl_s=LINK_S)
                if isinstance(place, Path):
                    return FileResponse(place, media_type=artifact.media_type, headers=_SANDBOXED)
                return RedirectResponse(place, status_code=307, headers={"cache-control": "no-store"})
        for path in _being_written(benchmark):
            if path.name == name:
                return FileResponse(path, media_type=MEDIA_TYPES[name])
        hint = f"It is {run.status}; GET /runs/{run.id}/artifacts lists its files"
        raise NotFound(f"run {run.id} has no file {name[:80]!r}", hint=hint)

    async def _artifacts(self, benchmark: QueuedBenchmark) -> tuple[Artifact, ...]:
        try:
            return (await self.kept.find(benchmark.id)).artifacts
        except NotFound:
            return ()

    async def _row(self, run: QueuedRun, artifact: Artifact) -> dict[str, object]:
        place = await self.blobs.place(artifact.sha256, ttl_s=LINK_S)
        link = {} if isinstance(place, Path) else {"link": place}
        return {
            "name": artifact.name, "bytes": artifact.size_bytes, "url": _url(run, artifact.name),
            "sha256": artifact.sha256, **link,
        }  # fmt: skip


def _url(run: QueuedRun, name: str) -> str:
    return f"/runs/{run.id}/artifacts/{name}"


def _being_written(benchmark: QueuedBenchmark) -> list[Path]:
    said = benchmark.facts.get("folder")
    if said is None:
        return []
    return [path for name in MEDIA_TYPES if (path := Path(said) / name).is_file()]
