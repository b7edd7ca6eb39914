"""`report` and `runs`: look at what was measured before, forget it, carry it elsewhere."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tokenforge.bench.outcome import Outcome, report_again
from tokenforge.cli import remembered
from tokenforge.cli.show import print_json, print_table
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.kept import KeptBenchmark
from tokenforge.domain.moments import moment_text
from tokenforge.domain.run import RunStatus
from tokenforge.report.markdown import render_markdown
from tokenforge.store.artifacts import REPORT_FILE
from tokenforge.store.base import RunFilter

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def report(folder: Path, *, as_json: bool) -> int:
    """Rebuild and print an earlier run's summary."""
    show_outcome(report_again(folder), as_json=as_json)
    return 0


def runs(*, limit: int, model: str | None, runtime: str | None, status: str | None, as_json: bool) -> int:
    """List past benchmarks, newest first."""
    only = RunFilter(model=model, runtime=runtime, status=None if status is None else _status(status))
    rows = remembered.recent(limit=limit, only=only)
    if as_json:
        print_json([_plain(row) for row in rows])
        return 0
    table = [
        (row.created_at, row.id, ", ".join(sorted({run.runtime for run in row.runs})), _status_of(row), row.folder)
        for row in rows
    ]
    print_table(("when", "id", "runtimes", "status", "folder"), table)
    return 0


def prune(*, older_than: str | None, keep: int | None, as_json: bool) -> int:
    """Forget old ones."""
    if older_than is None and keep is None:
        fault = Fault(field="--older-than or --keep", value=None, message="give one of the two, or both")
        raise InvalidInput([fault], source="the command")
    before = "" if older_than is None else _before(older_than, now=datetime.now(UTC))
    forgotten, files = remembered.prune(before=before, beyond=keep)
    if as_json:
        print_json({"forgotten": forgotten, "files_removed": files})
    else:
        print(f"{forgotten} benchmarks forgotten, {files} files removed from the artifact store")
    return 0


def export(identity: str, out: Path | None, *, as_json: bool) -> int:
    """Pack one."""
    path = out or Path(f"{re.sub('[^A-Za-z0-9._-]', '-', identity)}.tgz")
    sha256 = remembered.export(identity, path)
    if as_json:
        print_json({"bundle": str(path), "sha256": sha256})
    else:
        print(f"{path}\nSHA-256 {sha256}")
    return 0


def take_in(bundle: Path, *, as_json: bool) -> int:
    """Keep one."""
    kept = remembered.take_in(bundle)
    if as_json:
        print_json(_plain(kept))
    else:
        print(f"{kept.id}: {len(kept.runs)} runs, {len(kept.artifacts)} files kept")
    return 0


def remember(outcome: Outcome) -> None:
    """Enter the outcome into the list of past runs."""
    remembered.remember(outcome.document, outcome.folder.resolve())


def show_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """The summary, then where the report is."""
    if as_json:
        print_json({**verdict_of(outcome.document), "folder": str(outcome.folder), "record": outcome.document})
        return
    from tokenforge.cli.summary_table import print_summary

    print_summary(outcome.document)
    print(f"\nReport: {outcome.folder / REPORT_FILE}")


def verdict_of(document: Mapping[str, object]) -> Mapping[str, object]:
    """The verdict over all runs, and the reasons of each run by its id: what a program must look at first."""
    summary = document["summary"]
    assert isinstance(summary, Mapping)
    return {"verdict": summary["verdict"], "reasons": {run["run_id"]: run["reasons"] for run in summary["runs"]}}


def markdown(outcome: Outcome) -> str:
    """The summary as Markdown."""
    return render_markdown(outcome.document)


def _plain(row: KeptBenchmark) -> dict[str, object]:
    runs_of_row = [
        {"id": run.id, "model": run.model, "runtime": run.runtime, "workload": run.workload, "status": str(run.status)}
        for run in row.runs
    ]
    return {
        "id": row.id, "created_at": row.created_at, "folder": row.folder, "headline": row.headline,
        "verdict": row.verdict, "runs": runs_of_row,
    }  # fmt: skip


def _status_of(row: KeptBenchmark) -> str:
    states = {str(run.status) for run in row.runs}
    return states.pop() if len(states) == 1 else "mixed"


def _status(said: str) -> RunStatus:
    try:
        return RunStatus(said)
    except ValueError:
        known = ", ".join(RunStatus)
        fault = Fault(field="--status", value=said, message="is no status", hint=f"one of {known}")
        raise InvalidInput([fault], source="the command") from None


def _before(said: str, *, now: datetime) -> str:
    """The time that is so long ago, RFC 3339."""
    found = re.fullmatch(r"(\d{1,6})([mhdw])", said)
    if found is None:
        fault = Fault(field="--older-than", value=said, message="is not an age", hint="write for example 90d or 12h")
        raise InvalidInput([fault], source="the command")
    then = now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    return moment_text(then, "seconds")
