"""From what was gathered to files: requests.parquet, record.json, report.html, report.md, and a row in the database.

The record is written for failed and interrupted runs too: they say so, first of all. `report_again` rebuilds the pages
from the first two files alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.analysis.summary import summarise
from tokenforge.analysis.trials import MeasuredTrials
from tokenforge.bench.driver.job import Endpoint
from tokenforge.bench.run_log import RunLog
from tokenforge.domain.benchmark import Benchmark, without_secrets, without_userinfo
from tokenforge.domain.benchmark_record import BenchmarkRecord, RunRecord
from tokenforge.domain.calibration import Calibration
from tokenforge.domain.canonical import sha256_hex, to_plain
from tokenforge.domain.parity import ParityResult
from tokenforge.domain.run import RunId, RunStatus
from tokenforge.report.markdown import render_markdown
from tokenforge.report.page import render_report
from tokenforge.store.artifacts import MARKDOWN_FILE, RECORD_FILE, REPORT_FILE, REQUESTS_FILE, write_text
from tokenforge.store.record_file import read_record_file
from tokenforge.store.requests_table import RequestsFile, RunRecords, write_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What surrounded the runs: identity, time, command (secrets already left out), tool, machine, calibration.

    `endpoint` is the one of OpenAI's that the requests went to.
    """

    id: str
    created_at: str
    command: str
    tool: Mapping[str, str]
    environment: Mapping[str, object]
    calibration: tuple[Calibration, ...] = ()
    endpoint: Endpoint = Endpoint.COMPLETIONS
    parity: ParityResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished benchmark: its folder, and `document`, the content of `record.json` with the summary in it."""

    folder: Path
    document: Mapping[str, object]

    @property
    def succeeded(self) -> bool:
        """Whether every run did all its trials."""
        runs = self.document["runs"]
        assert isinstance(runs, list)
        return bool(runs) and all(run["status"] == RunStatus.SUCCEEDED for run in runs)


def write_outcome(
    folder: Path, benchmark: Benchmark, logs: Sequence[RunLog], *, circumstances: Circumstances
) -> Outcome:
    """Write all files of a benchmark. Raises StoreFailed; a file is whole or not there."""
    rows = [_rows(log, identity=_run_id(circumstances.id, log, number)) for number, log in enumerate(logs)]
    checksum = write_requests(folder / REQUESTS_FILE, rows)
    shown = without_secrets(benchmark)
    spec = to_plain(shown)
    assert isinstance(spec, dict)
    record = BenchmarkRecord(
        id=circumstances.id,
        created_at=circumstances.created_at,
        tool=circumstances.tool,
        command=circumstances.command,
        benchmark=spec,
        spec_hash=sha256_hex(shown),
        environment=circumstances.environment,
        runs=tuple(_run_record(log, row.run_id) for log, row in zip(logs, rows, strict=True)),
        requests_sha256=checksum,
        calibration=circumstances.calibration,
        endpoint=circumstances.endpoint,
        parity=circumstances.parity,
    )
    document = to_plain(record)
    assert isinstance(document, dict)
    return _write_pages(folder, document)


def report_again(folder: Path) -> Outcome:
    """Rebuild summary and pages of an earlier run from its record and requests. Raises NotFound or StoreFailed."""
    return _write_pages(folder, read_record_file(folder))


def _write_pages(folder: Path, document: dict[str, object]) -> Outcome:
    requests = RequestsFile(folder / REQUESTS_FILE)
    trials = MeasuredTrials(requests)
    document["summary"] = to_plain(summarise({**document, "summary": {}}, requests, trials=trials))
    write_text(folder / RECORD_FILE, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(folder / REPORT_FILE, render_report(document, requests, trials=trials))
    write_text(folder / MARKDOWN_FILE, render_markdown(document))
    return Outcome(folder=folder, document=document)


def _rows(log: RunLog, *, identity: str) -> RunRecords:
    return RunRecords(
        run_id=identity,
        model=log.target.model,
        runtime=log.target.runtime,
        workload=log.workload.name,
        tables=(table for trial in log.recorded for table in trial.tables()),
    )


def _run_id(benchmark: str, log: RunLog, number: int) -> str:
    return f"{benchmark}-{number:02d}-{log.workload.name}"


def _run_record(log: RunLog, identity: str) -> RunRecord:
    engine = log.target.engine
    return RunRecord(
        id=RunId(identity),
        model=log.target.model,
        runtime=log.target.runtime,
        workload=log.workload.name,
        target_url=without_userinfo(log.target.url),
        status=log.status,
        cause=log.cause,
        last_words=log.last_words,
        engine=None if engine is None else {**engine, "packages": dict(log.target.packages)},
        start_s=log.target.start_s,
        trials=tuple(log.trials),
        cause_code=log.cause_code,
    )
