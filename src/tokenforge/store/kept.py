"""From `record.json` to what is remembered of it. Pure: a row can always be made again from the record."""

from collections.abc import Mapping

from tokenforge.domain.kept import KeptBenchmark, KeptRun, KeptTrial
from tokenforge.domain.run import RunStatus

_VOLATILE = ("pressure",)
"""Of an environment: what differs with every reading of the same machine."""


def kept_of(document: Mapping[str, object], *, folder: str = "", queued_id: str | None = None) -> KeptBenchmark:
    """What a whole record says of itself."""
    summary = document.get("summary")
    said: Mapping[str, object] = summary if isinstance(summary, Mapping) else {}
    environment = document.get("environment")
    return KeptBenchmark(
        id=str(document["id"]),
        created_at=str(document["created_at"]),
        spec_hash=str(document.get("spec_hash", "")),
        headline=headline_of(said),
        verdict=str(said.get("verdict", "")),
        runs=tuple(_run(run) for run in _rows(document, "runs")),
        folder=folder,
        queued_id=queued_id,
        environment=_steady(environment) if isinstance(environment, Mapping) else None,
    )


def headline_of(summary: Mapping[str, object]) -> str:
    """The first words of the report, a line each."""
    lines = summary.get("headline", "")
    return "\n".join(map(str, lines)) if isinstance(lines, list) else str(lines)


def _run(run: Mapping[str, object]) -> KeptRun:
    return KeptRun(
        id=str(run["id"]), model=str(run["model"]), runtime=str(run["runtime"]), workload=str(run["workload"]),
        status=RunStatus(str(run["status"])), cause=str(run.get("cause") or ""),
        trials=tuple(_trial(trial) for trial in _rows(run, "trials")),
    )  # fmt: skip


def _trial(trial: Mapping[str, object]) -> KeptTrial:
    return KeptTrial(
        trial=_whole(trial, "trial"), position=_whole(trial, "position"), plan_digest=str(trial["plan_digest"]),
        planned_requests=_whole(trial, "planned_requests"), started_at=str(trial["started_at"]),
        duration_s=float(str(trial["duration_s"])),
    )  # fmt: skip


def _rows(of: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = of.get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def _whole(of: Mapping[str, object], name: str) -> int:
    return int(str(of[name]))


def _steady(environment: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in environment.items() if name not in _VOLATILE}
