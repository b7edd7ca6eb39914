"""`gate`: from folders of runs to an answer that a pipeline can act on."""

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tokenforge.analysis.gate import DEFAULT_MARGIN, Gate, GateRules, run_gate
from tokenforge.analysis.gate_metric import GateVerdict
from tokenforge.analysis.gate_reading import METRICS
from tokenforge.analysis.gate_selection import Selection, select
from tokenforge.cli.gate_runs import choose_runs
from tokenforge.cli.share_text import read_share
from tokenforge.cli.show import print_json, wide_console
from tokenforge.domain.errors import Fault, InvalidInput, StoreFailed, TokenForgeError
from tokenforge.report.gate_markdown import render_gate_markdown
from tokenforge.report.gate_view import GATE_COLUMNS, GateSection, gate_headline, gate_sections
from tokenforge.settings import read_settings
from tokenforge.store.artifacts import write_text

_EXIT_CODES = {GateVerdict.NOT_REGRESSED: 0, GateVerdict.REGRESSED: 1, GateVerdict.INCONCLUSIVE: 2}
_STYLES = {GateVerdict.NOT_REGRESSED: "green", GateVerdict.REGRESSED: "bold red", GateVerdict.INCONCLUSIVE: "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given. `margins` are texts like `5%` or `ttft_p99=20%`."""

    runs: tuple[Path, ...]
    candidates: tuple[Path, ...]
    history: Path | None
    margins: tuple[str, ...]
    metrics: tuple[str, ...]
    between_runs: str
    any_hardware: bool
    summary: Path | None
    github_summary: bool
    as_json: bool


def run(asked: Asked) -> int:
    """Judge, print, write. Returns the exit code: 1 says "regressed" and nothing else, so every error is a 2."""
    try:
        return _run(asked)
    except TokenForgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _run(asked: Asked) -> int:
    rules = read_rules(asked)
    job_summary = _job_summary(asked)
    chosen = choose_runs(asked.runs, asked.candidates, asked.history)
    selection = select(
        chosen.candidates, chosen.earlier, are_named=asked.history is None, any_hardware=asked.any_hardware
    )
    gate = run_gate(Selection(contests=selection.contests, notes=(*chosen.notes, *selection.notes)), rules)
    if asked.as_json:
        print_json(gate)
    else:
        print_gate(gate)
    if asked.summary is not None:
        write_text(asked.summary, render_gate_markdown(gate))
    if job_summary is not None:
        _append(job_summary, render_gate_markdown(gate))
    return _EXIT_CODES[gate.verdict]


def read_rules(asked: Asked) -> GateRules:
    """The options as rules. Raises InvalidInput with every fault."""
    faults: list[Fault] = []
    margin, margins = DEFAULT_MARGIN, {}
    for text in asked.margins:
        name, separator, value = text.rpartition("=")
        share = read_share("--margin", value, faults)
        if separator:
            _check_metric("--margin", name, faults)
            margins[name] = share
        else:
            margin = share
    for name in asked.metrics:
        _check_metric("--metric", name, faults)
    assumed = read_share("--between-runs", asked.between_runs, faults)
    if faults:
        raise InvalidInput(faults, source="the command")
    metrics = tuple(dict.fromkeys(asked.metrics))
    return GateRules(margin=margin, margins=margins, metrics=metrics, assumed_between=assumed)


def print_gate(gate: Gate, *, console: Console | None = None) -> None:
    """The answer, then a table and sentences per subject."""
    console = console or wide_console()
    console.print(gate_headline(gate), style=_STYLES[gate.verdict], soft_wrap=True, markup=False)
    for section in gate_sections(gate):
        console.print()
        console.print(section.title, style="bold", soft_wrap=True, markup=False)
        if section.rows:
            console.print(_table(section))
        for sentence in section.sentences:
            console.print(f"- {sentence}", soft_wrap=True, markup=False)
    for note in gate.notes:
        console.print(f"\n{note}", soft_wrap=True, markup=False)


def _table(section: GateSection) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(GATE_COLUMNS):
        table.add_column(column, justify="left" if number in {0, len(GATE_COLUMNS) - 1} else "right")
    for row in section.rows:
        verdict = GateVerdict(row[-1])
        table.add_row(*row[:-1], f"[{_STYLES[verdict]}]{verdict}[/]")
    return table


def _check_metric(option: str, name: str, faults: list[Fault]) -> None:
    if name not in METRICS:
        hint = f"there are: {', '.join(METRICS)}"
        faults.append(Fault(field=option, value=name, message="is not a metric", hint=hint))


def _job_summary(asked: Asked) -> Path | None:
    if not asked.github_summary:
        return None
    path = read_settings().github_summary
    if path is None:
        message, hint = "has no file: GITHUB_STEP_SUMMARY is not set", "use --summary FILE outside of GitHub's runners"
        raise InvalidInput(
            [Fault(field="--github-summary", value=True, message=message, hint=hint)], source="the command"
        )
    return path


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreFailed(f"{path} could not be written: {error.strerror}") from error
