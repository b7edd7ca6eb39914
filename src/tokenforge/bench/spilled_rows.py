"""Rows of a fixed size that are gathered in any order and read in one: few in memory, many in a file without a name.

A run has a million requests; what is known of each must not stay in the memory of the process that measures the next
trial. The file is in the folder that it is told, has no name there, and is gone with its last reader, killed or not.
"""

import weakref
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt

from tokenforge.domain.errors import StoreFailed

Rows = npt.NDArray[np.void]

HELD_BYTES = 1 << 23
"""Rows that are more than this go to the file."""

_BLOCK_ROWS = 1 << 14


class SpilledRows:
    """Rows of `row_type`. `add` them all, `sort`, then read."""

    def __init__(self, row_type: np.dtype[np.void], *, folder: Path) -> None:
        self._type = row_type
        self._folder = folder
        self._held: list[Rows] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._count = 0
        self._order: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, rows: Rows) -> None:
        """Take some more. Raises StoreFailed when the disk takes no more."""
        self._count += len(rows)
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        if self._held_bytes > HELD_BYTES:
            self._spill()

    def sort(self, keys: npt.NDArray[np.int64]) -> None:
        """From now on they come in the order of `keys`, one for each in the order they were added."""
        self._order = np.argsort(keys, kind="stable")
        if self._file is not None:
            self._spill()

    def take(self, places: Iterable[int] | slice) -> Rows:
        """Those at `places` of the order."""
        chosen = self._sorted()[places] if isinstance(places, slice) else self._sorted()[np.asarray(places)]
        if self._file is None:
            return self._in_memory()[chosen]
        mapped = np.memmap(self._file, self._type, "r", shape=(self._count,))  # let go of at once: pages count as ours
        return np.array(mapped[chosen])

    def blocks(self) -> Iterable[Rows]:
        """All, some ten thousand at a time."""
        for start in range(0, self._count, _BLOCK_ROWS):
            yield self.take(slice(start, start + _BLOCK_ROWS))

    def _sorted(self) -> npt.NDArray[np.int64]:
        return np.arange(self._count) if self._order is None else self._order

    def _in_memory(self) -> Rows:
        if len(self._held) != 1:
            self._held = [np.concatenate(self._held) if self._held else np.empty(0, self._type)]
        return self._held[0]

    def _spill(self) -> None:
        try:
            if self._file is None:
                self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115 (closed with this object)
                weakref.finalize(self, self._file.close)
            for rows in self._held:
                rows.tofile(self._file)
            self._file.flush()
        except OSError as error:
            message = f"{self._folder} takes no more of a trial's records: {error.strerror or error}"
            raise StoreFailed(message, hint="Free some space there") from error
        self._held, self._held_bytes = [], 0
