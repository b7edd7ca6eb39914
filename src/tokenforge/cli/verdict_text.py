"""A comparison on the terminal: may it be believed, what came out, by how much, how noisy it was."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tokenforge.report.verdict_view import METRIC_COLUMNS, QUAD_COLUMNS, VerdictView

_VALIDITY = {"VALID": "green", "SUSPECT": "yellow", "INVALID": "bold red"}
_VERDICT = {"better": "bold green", "worse": "bold red", "equivalent": "bold green", "inconclusive": "bold yellow"}


def print_verdict(view: VerdictView, *, console: Console) -> None:
    """Validity first, then the one verdict, then what it rests on."""
    console.print()
    console.print(f"[{_VALIDITY.get(view.validity, '')}]{view.validity}[/]", end=" ")
    console.print(view.validity_sentence, soft_wrap=True, markup=False)
    console.print(view.sentence, style=_VERDICT.get(view.verdict, ""), soft_wrap=True, markup=False)
    console.print(f"{view.parity}: {view.parity_sentence}", soft_wrap=True, markup=False)
    console.print(f"\nA is {view.a}, B is {view.b}; {view.decided_by}.", soft_wrap=True, markup=False)
    console.print(_table(METRIC_COLUMNS, [row.cells for row in view.metrics], bold_first=True))
    console.print(_table(QUAD_COLUMNS, view.quads))
    for line in (*view.noise, *view.notes):
        console.print(line, soft_wrap=True, markup=False)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, bold_first: bool = False) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for number, row in enumerate(rows):
        table.add_row(*row, style="bold" if bold_first and number == 0 else None)
    return table
