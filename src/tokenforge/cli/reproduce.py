"""`export` and `reproduce`: a run as one file, and somebody else's check of it."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tokenforge.analysis.gate_reading import read_gate_runs
from tokenforge.analysis.replication import Answer, RepeatedMetric, Replication, replicate
from tokenforge.bench.driver.job import Endpoint
from tokenforge.bench.environment import detect_accelerator
from tokenforge.bench.exporting import export_run
from tokenforge.bench.outcome import Outcome
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.bench.rebuilding import Check, check_pages, check_plans, check_spec, read_benchmark
from tokenforge.bench.repeating import repeatable
from tokenforge.bench.session import Request, run_benchmark
from tokenforge.cli.bench import say_why, until_stopped
from tokenforge.cli.progress import LiveProgress, PlainProgress
from tokenforge.cli.results import remember
from tokenforge.cli.show import print_json, wide_console
from tokenforge.cli.wiring import counted
from tokenforge.domain.errors import Fault, InvalidInput, StoreFailed, TokenForgeError
from tokenforge.domain.model import parse_model
from tokenforge.models.resolve import resolve_model
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.report.numbers import UNKNOWN, number_text
from tokenforge.settings import read_settings
from tokenforge.store.bundle import Manifest, unpack_bundle
from tokenforge.store.record_file import read_record_file

_WORDS = {True: "equal", False: "DIFFERS", None: "not checked"}
_STYLES = {True: "green", False: "bold red", None: "yellow"}
_AGREES = {True: "agrees", False: "differs", None: "undecided"}
_COLUMNS = ("metric", "original", "again", "ratio", "95 % interval", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of `reproduce`. `margin` is a share; `again` runs the benchmark here."""

    bundle: Path
    again: bool
    is_trusted: bool
    margin: float
    trace: Path | None
    out: Path | None
    as_json: bool


def export(folder: Path, out: Path | None, *, as_json: bool) -> int:
    """Write a run's bundle and say where it is."""
    path = out or Path(f"{folder.resolve().name}.tgz")
    sha256 = export_run(folder, path)
    if as_json:
        print_json({"bundle": str(path), "sha256": sha256})
    else:
        print(f"{path}: SHA-256 {sha256}")
    return 0


def reproduce(asked: Asked) -> int:
    """Check a bundle, perhaps run it again. 0: all came out; 1: something differs; 2: can't be told, or an error."""
    try:
        return _reproduce(asked)
    except TokenForgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _reproduce(asked: Asked) -> int:
    if not 0 < asked.margin < 1:
        hint = "write 0.1 for 10 %"
        fault = Fault(field="--margin", value=asked.margin, message="is not a share between 0 and 1", hint=hint)
        raise InvalidInput([fault], source="the command")
    with _folder(asked) as folder:
        manifest = unpack_bundle(asked.bundle, folder)
        record = read_record_file(folder)
        checks = [Check(name="checksums", equal=True, detail=f"{len(manifest.files)} files"), check_spec(record)]
        checks += check_plans(record, _find_tokenizer, trace=asked.trace)
        checks += check_pages(folder, manifest)
        if not asked.as_json:
            _print_checks(checks, manifest)
        replication = _run_again(asked, record) if asked.again else None
    if asked.as_json:
        print_json({"manifest": manifest, "checks": checks, "replication": replication})
    elif replication is not None:
        _print_replication(replication)
    return _exit_code(checks, replication)


def _exit_code(checks: list[Check], replication: Replication | None) -> int:
    if any(check.equal is False for check in checks):
        return 1
    if replication is None:
        return 2 if any(check.equal is None for check in checks) else 0
    return {Answer.REPLICATED: 0, Answer.NOT_REPLICATED: 1}.get(replication.answer, 2)


def _run_again(asked: Asked, record: Mapping[str, object]) -> Replication:
    settings = read_settings()
    benchmark = repeatable(
        read_benchmark(record), record, accelerator=detect_accelerator(), is_trusted=asked.is_trusted
    )
    out = asked.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-reproduce"
    request = Request(
        benchmark=benchmark,
        folder=out / "again",
        command=f"tokenforge reproduce {asked.bundle.name} --run",
        endpoint=Endpoint.CHAT if record.get("endpoint") == Endpoint.CHAT else Endpoint.COMPLETIONS,
        calibrate=bool(record.get("calibration")),
    )
    console = Console(stderr=True)
    with LiveProgress(console) if console.is_terminal else PlainProgress(sys.stderr) as observer:
        outcome, ended = until_stopped(counted(settings, observer, lambda kit: run_benchmark(request, kit=kit)))
    remember(outcome)
    if ended is not None:
        say_why(ended)
    return _compare(record, outcome, margin=asked.margin)


def _compare(record: Mapping[str, object], outcome: Outcome, *, margin: float) -> Replication:
    original = read_gate_runs(record, label="the original")
    again = read_gate_runs(outcome.document, label=str(outcome.folder))
    return replicate(original, again, margin=margin)


def _find_tokenizer(model: str) -> PromptTokenizer:
    settings = read_settings()
    found = resolve_model(parse_model(model), home=settings.home, offline=settings.hub_offline)
    return load_tokenizer(found.folder)


@contextmanager
def _folder(asked: Asked) -> Iterator[Path]:
    """Where the bundle is unpacked: kept with --out, else thrown away."""
    if asked.out is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    folder = asked.out / "original"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreFailed(f"{folder} can't be made: {error.strerror}", hint="Choose another --out") from error
    yield folder


def _print_checks(checks: list[Check], manifest: Manifest) -> None:
    console = wide_console()
    console.print(f"{manifest.record_id}, of {manifest.created_at}", style="bold", markup=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        table.add_row(check.name, f"[{_STYLES[check.equal]}]{_WORDS[check.equal]}[/]", check.detail)
    console.print(table)
    if any(check.equal is False for check in checks):
        made = f"{manifest.tool.get('version')} {manifest.tool.get('git', '')}".strip()
        console.print(f"The bundle was made by tokenforge {made}.", soft_wrap=True, markup=False)


def _print_replication(replication: Replication) -> None:
    console = wide_console()
    console.print(f"\n{_headline(replication)}", style="bold", soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(_COLUMNS):
        table.add_column(column, justify="left" if number in {0, len(_COLUMNS) - 1} else "right")
    for one in replication.metrics:
        table.add_row(*_row(one))
    console.print(table)
    undecided = [f"{one.label}: {_needs(one)}" for one in replication.metrics if one.agrees is None]
    for line in (*replication.objections, *undecided, *map(str, replication.differences)):
        console.print(f"- {line}", soft_wrap=True, markup=False)


def _headline(replication: Replication) -> str:
    within = f"within {100 * replication.margin:.3g} %"
    said = {
        Answer.REPLICATED: f"every metric agrees {within}",
        Answer.NOT_REPLICATED: f"a metric differs by more than {100 * replication.margin:.3g} %",
        Answer.UNDECIDED: f"the trials do not tell whether the metrics agree {within}",
    }[replication.numbers]
    answer = str(replication.answer).capitalize()
    if replication.answer is not Answer.ENVIRONMENT_DIFFERS:
        return f"{answer}: {said}."
    count = len(replication.differences)
    return f"{answer} ({count} point{'s' * (count > 1)} below); for what it is worth, {said}."


def _row(one: RepeatedMetric) -> tuple[str, ...]:
    interval = UNKNOWN if one.low is None or one.high is None else f"{one.low:.3f} to {one.high:.3f}"
    return (
        f"{one.subject.workload} on {one.subject.runtime}: {one.label}, {one.unit}",
        number_text(one.original),
        number_text(one.again),
        UNKNOWN if one.ratio is None else f"{one.ratio:.3f}",
        interval,
        _AGREES[one.agrees],
    )


def _needs(one: RepeatedMetric) -> str:
    return one.note or f"about {one.trials_needed} trials in both would tell"
