"""Where pages of metrics are: processes of this machine say it in files, and Prometheus reads it by HTTP.

A process that serves no requests (control, a load generator) listens on a port of its own and writes where into a file.
Who died without removing its file is told apart by its process id and start, and is not listed.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_SUFFIX = ".target.json"
_SAME_START_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsTarget:
    """A page at `http://ADDRESS/metrics`; `labels` are added to everything on it."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetFiles:
    """The files in one folder."""

    folder: Path

    @contextlib.contextmanager
    def said(self, name: str, target: MetricsTarget) -> Iterator[None]:
        """Say where this process's page is, as long as the block lasts. Files of the dead go.

        Where nothing can be written, nobody is told.
        """
        path = self.folder / f"{name}-{os.getpid()}{_SUFFIX}"
        content = {
            "address": target.address,
            "labels": dict(target.labels),
            "pid": os.getpid(),
            "started_s": psutil.Process().create_time(),
        }
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            partial = path.with_name(f".{path.name}.partial")
            partial.write_text(json.dumps(content), encoding="utf-8")
            partial.replace(path)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def living(self) -> tuple[MetricsTarget, ...]:
        """What living processes said, by the files' names; files that can't be read are left out."""
        found = (self._read(path) for path in sorted(self.folder.glob(f"*{_SUFFIX}")))
        return tuple(target for target in found if target is not None)

    def _sweep(self) -> None:
        """Remove what processes left that were killed."""
        for path in self.folder.glob(f"*{_SUFFIX}"):
            if self._read(path) is None:
                path.unlink(missing_ok=True)

    def _read(self, path: Path) -> MetricsTarget | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            process = psutil.Process(int(content["pid"]))
            if abs(process.create_time() - float(content["started_s"])) > _SAME_START_S:
                return None
            labels = {str(name): str(value) for name, value in dict(content["labels"]).items()}
            return MetricsTarget(address=str(content["address"]), labels=labels)
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None


def discovery(targets: Iterable[MetricsTarget]) -> list[dict[str, object]]:
    """The document of Prometheus' HTTP service discovery."""
    return [{"targets": [target.address], "labels": dict(target.labels)} for target in targets]
