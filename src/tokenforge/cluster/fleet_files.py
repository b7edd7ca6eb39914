"""The files of a fleet: for each worker its spec, its entry, its state and its log, under the worker's name."""

import contextlib
import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenforge.cluster.process_mark import ProcessMark
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import InvalidInput, StoreFailed
from tokenforge.domain.worker import WorkerSpec
from tokenforge.protocol.worker_spec import WorkerState, read_record, worker_spec_to_json, worker_state_from_json

_TAIL_BYTES = 64 * 1024
_ENTRY = ".entry.json"
_KEPT_LOGS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEntry:
    """What a worker was launched as. `process` is None until its launcher knows it."""

    name: str
    labels: Mapping[str, str]
    launched_at_s: float
    host: str
    process: ProcessMark | None = None
    stopping_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class FleetFiles:
    """The files in one folder."""

    folder: Path

    def begin(self, entry: FleetEntry, spec: WorkerSpec) -> None:
        """Write what must be there before the process is. Raises StoreFailed."""
        with self._told():
            self.folder.mkdir(parents=True, exist_ok=True)
            spec_path = self.spec_path(entry.name)
            spec_path.touch(mode=0o600)  # engine arguments may hold a key
            spec_path.write_text(worker_spec_to_json(spec), encoding="utf-8")
        self.write(entry)
        self._prune_logs()

    def write(self, entry: FleetEntry) -> None:
        """Write the entry as a whole. Raises StoreFailed."""
        path = self.folder / f"{entry.name}{_ENTRY}"
        partial = path.with_name(f".{path.name}.partial")
        with self._told():
            partial.write_text(json.dumps(to_plain(entry)), encoding="utf-8")
            partial.replace(path)

    def entries(self) -> list[FleetEntry]:
        """All of them by name; a broken file counts as none."""
        names = sorted(path.name.removesuffix(_ENTRY) for path in self.folder.glob(f"*{_ENTRY}"))
        return [entry for name in names if (entry := self.entry(name)) is not None]

    def entry(self, name: str) -> FleetEntry | None:
        """One of them, None where there is none."""
        try:
            value = json.loads((self.folder / f"{name}{_ENTRY}").read_bytes())
            return read_record(FleetEntry, value, source="fleet entry")
        except (OSError, ValueError, InvalidInput):
            return None

    def state(self, name: str) -> WorkerState | None:
        """What the worker said last, None before it said anything."""
        try:
            return worker_state_from_json(self.state_path(name).read_bytes())
        except (OSError, InvalidInput):
            return None

    def last_words(self, name: str, lines: int = 20) -> tuple[str, ...]:
        """The final lines of its log, newest last."""
        return tail(self.log_path(name), lines)

    def remove(self, name: str) -> None:
        """Everything but the log; the entry goes last. Raises StoreFailed."""
        with self._told():
            for path in (self.spec_path(name), self.state_path(name), self.folder / f"{name}{_ENTRY}"):
                path.with_name(f".{path.name}.partial").unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def spec_path(self, name: str) -> Path:
        """What the worker is told."""
        return self.folder / f"{name}.spec.json"

    def state_path(self, name: str) -> Path:
        """What it says of itself."""
        return self.folder / f"{name}.state.json"

    def log_path(self, name: str) -> Path:
        """What it writes."""
        return self.folder / f"{name}.log"

    def _prune_logs(self) -> None:
        """Let the oldest go; one that another process removed meanwhile is gone already."""
        with contextlib.suppress(OSError):
            logs = sorted(self.folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
            living = {entry.name for entry in self.entries()}
            for path in logs[:-_KEPT_LOGS]:
                if path.stem not in living:
                    path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A disk that is full, or a folder that cannot be written, as our own error."""
        try:
            yield
        except OSError as error:
            hint = "Make room on the disk, or set TOKENFORGE_HOME to another folder"
            raise StoreFailed(f"nothing can be written in {self.folder}: {error.strerror}", hint=hint) from error


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The final lines of a file, newest last; none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return tuple(deque(file.read().decode("utf-8", "replace").splitlines(), maxlen=lines))
    except OSError:
        return ()
