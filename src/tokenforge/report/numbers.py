"""Numbers for people: three significant figures, thin grouping, an interval beside its value, a dash for unknown."""

from tokenforge.analysis.plain import Plain, number, text

UNKNOWN = "–"


def number_text(value: float | None, *, digits: int = 3) -> str:
    """A number with `digits` significant figures; whole numbers below 1,000,000 stay whole and grouped."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if value == int(value) and abs(value) < 1_000_000:
        return f"{int(value):,}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".") if abs(value) >= 0.001 else f"{value:.{digits - 1}e}"


def estimate_text(estimate: Plain) -> str:
    """`78.4 (70.1 to 86.7)`, the value alone where there is no interval, or the note where there is no value.

    What an interval leaves out follows it.
    """
    value, low, high = (number(estimate, key) for key in ("value", "low", "high"))
    if value is None:
        note = text(estimate, "note")
        return UNKNOWN if note in {None, "no data"} else str(note)
    if low is None or high is None:
        return number_text(value)
    note = text(estimate, "note")
    return f"{number_text(value)} ({number_text(low)} to {number_text(high)}{f', {note}' if note else ''})"
