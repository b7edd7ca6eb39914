"""The reference page of the verdict's codes, from the code itself: `make reference` writes it, a test compares it."""

from collections.abc import Iterator

from tokenforge.analysis.validity_codes import CODES, Code, Party

_HEAD = """# Codes of the validity verdict

<!-- Made from `analysis/validity_codes.py` by `make reference`; do not edit. -->

A run is **INVALID** if a reason is invalid, else **SUSPECT** if one is suspect, else **VALID**; a note changes nothing.
The terminal, the report and `--json` say the verdict before any number; each reason has its code, a sentence with what
was found, the numbers, and what to do. What was not recorded is not judged. Why each check is there:
[may a number be believed?](../concepts/validity.md)
"""

_PARTIES = {
    Party.CLIENT: "The load generator: late, off its plan, or wrong, it measures itself.",
    Party.MACHINE: "What generator and engine stand on.",
    Party.SERVER: "Whoever answers: did it do the work it was asked for?",
    Party.RUN: "The run as a whole.",
    Party.COMPARISON: "Two sides against each other (`tokenforge compare`), beside the codes of each run.",
}


def validity_page() -> str:
    """Markdown: a table per party."""
    return _HEAD + "".join(_section(party) for party in Party)


def _section(party: Party) -> str:
    rows = "".join(_row(code) for code in CODES.values() if code.party is party)
    return f"\n## {party}\n\n{_PARTIES[party]}\n\n| code | level | when | what to do |\n|---|---|---|---|\n{rows}"


def _row(code: Code) -> str:
    return f"| {' | '.join(_cells(code))} |\n"


def _cells(code: Code) -> Iterator[str]:
    yield f"`{code.name}`"
    yield ", ".join(level.value for level in code.levels)
    yield code.rule.replace("|", "\\|")
    yield code.fix.replace("|", "\\|")


if __name__ == "__main__":
    print(validity_page(), end="")
