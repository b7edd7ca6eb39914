"""Runs that were cancelled while their benchmark goes on, as JSON: what control tells who offers the load."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenforge.domain.canonical import to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class RunName:
    """What names a run of one benchmark; `runtime` as the benchmark wrote it, or with its version."""

    model: str
    runtime: str
    workload: str

    def is_written_as(self, other: "RunName") -> bool:
        """Whether `other`, as a user wrote it, means this run."""
        runtimes = (self.runtime, self.runtime.partition("@")[0])
        return (self.model, self.workload) == (other.model, other.workload) and other.runtime in runtimes


def runs_to_json(runs: Iterable[RunName]) -> str:
    """The runs as one JSON list."""
    return json.dumps([to_plain(run) for run in runs])


def runs_from_json(text: bytes) -> tuple[RunName, ...]:
    """Read what `runs_to_json` wrote. Raises ValueError."""
    rows = json.loads(text)
    try:
        return tuple(RunName(model=row["model"], runtime=row["runtime"], workload=row["workload"]) for row in rows)
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a list of runs: {error}") from error
