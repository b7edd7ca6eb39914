"""`report` and `runs`: look at what was measured before."""

from collections.abc import Mapping
from pathlib import Path

from tokenforge.bench.outcome import Outcome, report_again
from tokenforge.cli.show import print_json, print_table
from tokenforge.cli.wiring import run_database
from tokenforge.report.markdown import render_markdown
from tokenforge.settings import read_settings
from tokenforge.store.artifacts import REPORT_FILE
from tokenforge.store.metadata import Metadata


def report(folder: Path, *, as_json: bool) -> int:
    """Rebuild and print an earlier run's summary."""
    show_outcome(report_again(folder), as_json=as_json)
    return 0


def runs(*, limit: int, as_json: bool) -> int:
    """List past benchmarks, newest first."""
    rows = Metadata(run_database(read_settings())).recent(limit=limit)
    if as_json:
        print_json(rows)
        return 0
    table = [
        (row.created_at, ", ".join(sorted({run[1] for run in row.runs})), _status(row.runs), row.folder) for row in rows
    ]
    print_table(("when", "runtimes", "status", "folder"), table)
    return 0


def remember(outcome: Outcome) -> None:
    """Enter the outcome into the run database."""
    headline = outcome.document["summary"]
    assert isinstance(headline, Mapping)
    Metadata(run_database(read_settings())).remember(
        outcome.document, folder=outcome.folder.resolve(), headline=str(headline.get("headline", ""))
    )


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


def _status(runs_of_row: tuple[tuple[str, str, str, str], ...]) -> str:
    states = {run[3] for run in runs_of_row}
    return states.pop() if len(states) == 1 else "mixed"
