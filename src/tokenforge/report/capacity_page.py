"""Capacity as Markdown, with attainment against rate and its fit as an inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from tokenforge.analysis.capacity_search import Capacity
from tokenforge.report.charts import Axis, Dots, Line, Words, axis_for, chart


def capacity_chart(runtime: str, capacity: Capacity, *, target: float, key: str) -> Markup:
    """Dots are probed rates, the line is the fit, the faint lines are the target and the interval of each rate."""
    x = axis_for([one.rate for one in capacity.points], "rate, requests/s")
    y = Axis(low=0.0, high=1.0, label="share of good requests")
    marks: list[Line | Dots] = [Line(slot=1, points=[(x.low, target), (x.high, target)], is_faint=True)]
    for one in capacity.points:
        marks.append(Line(slot=0, points=[(one.rate, one.low), (one.rate, one.high)], is_faint=True))
    marks.append(Line(slot=0, points=capacity.fit))
    marks.append(Dots(slot=0, points=[(one.rate, one.share) for one in capacity.points]))
    description = f"Share of good requests of {runtime} at each rate, the isotonic fit, and the target {target:g}"
    return chart(Words(key=key, title=f"Attainment of {runtime}", description=description), x=x, y=y, marks=marks)


def capacity_markdown(found: Sequence[tuple[str, Capacity, str]], *, target: float) -> str:
    """One section per runtime: `found` has its name, its capacity, and further lines as text."""
    parts = ["# Capacity within the SLO\n"]
    for number, (runtime, capacity, lines) in enumerate(found):
        parts.append(f"## {runtime}\n\n{lines}\n")
        if capacity.points:
            parts.append(f"{capacity_chart(runtime, capacity, target=target, key=f'capacity{number}')}\n")
        parts.append("| rate, req/s | good | interval | independent requests | probes |\n|---|---|---|---|---|")
        for one in capacity.points:
            between = f"{one.low:.2%} to {one.high:.2%}"
            parts.append(f"| {one.rate:.4g} | {one.share:.2%} | {between} | {one.effective:.0f} | {one.probes} |")
    return "\n".join(parts) + "\n"
