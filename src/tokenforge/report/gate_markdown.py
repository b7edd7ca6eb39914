"""A gate's answer as GitHub-flavoured Markdown, for a pull request or a job's summary."""

from collections.abc import Sequence

from tokenforge.analysis.gate import Gate
from tokenforge.analysis.gate_metric import GateVerdict
from tokenforge.report.gate_view import GATE_COLUMNS, GateSection, gate_headline, gate_sections
from tokenforge.report.markup import markdown_text

_MARKS = {GateVerdict.REGRESSED: "❌", GateVerdict.NOT_REGRESSED: "✅", GateVerdict.INCONCLUSIVE: "❔"}


def render_gate_markdown(gate: Gate) -> str:
    """The verdict, a table per subject, and what to read with it. Names are escaped, so they cannot make markup."""
    lines = [f"## {_MARKS[gate.verdict]} Benchmark gate: {gate.verdict}", "", markdown_text(gate_headline(gate)), ""]
    for section in gate_sections(gate):
        lines += [*_section(section), ""]
    lines += [f"- {markdown_text(note)}" for note in gate.notes]
    return "\n".join(lines).rstrip() + "\n"


def _section(section: GateSection) -> list[str]:
    lines = [f"### {_MARKS[section.verdict]} {markdown_text(section.title)}", ""]
    if section.rows:
        lines += [_line(GATE_COLUMNS), "|---|" + "---:|" * (len(GATE_COLUMNS) - 2) + "---|"]
        lines += [*(_line(row) for row in section.rows), ""]
    return lines + [f"- {markdown_text(sentence)}" for sentence in section.sentences]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"
