"""A ratio with its interval as a small bar on a logarithmic axis around 1, with the band that counts as equal."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from tokenforge.analysis.compare import DELTA
from tokenforge.report.charts import text_at

_WIDTH, _HEIGHT, _EDGE = 240, 26, 10
_FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)


def reach_of(ratios: Sequence[float | None]) -> float:
    """The factor that the axis must reach on both sides of 1."""
    known = [max(ratio, 1 / ratio) for ratio in ratios if ratio is not None and ratio > 0]
    most = max(known, default=1.25)
    return next((factor for factor in _FACTORS if factor >= most), _FACTORS[-1])


def ratio_bar(*, ratio: float, low: float | None, high: float | None, reach: float, verdict: str) -> Markup:
    """The bar. It repeats the numbers beside it, so it is hidden from screen readers."""
    middle = _HEIGHT / 2
    band = f"{_x(1 / (1 + DELTA), reach):.1f}", f"{_x(1 + DELTA, reach) - _x(1 / (1 + DELTA), reach):.1f}"
    parts = [
        Markup('<rect class="band" x="{}" y="2" width="{}" height="{}"/>').format(*band, _HEIGHT - 4),
        Markup('<path class="one" d="M{x} 0V{h}"/>').format(x=f"{_x(1, reach):.1f}", h=_HEIGHT),
    ]
    if low is not None and high is not None:
        left, right = f"{_x(low, reach):.1f}", f"{_x(high, reach):.1f}"
        path = f"M{left} {middle}H{right}M{left} {middle - 4}v8M{right} {middle - 4}v8"
        parts.append(Markup('<path class="whisker v-{}" d="{}"/>').format(verdict, path))
    parts.append(
        Markup('<circle class="ratio v-{}" cx="{}" cy="{}" r="4.5"/>').format(
            verdict, f"{_x(ratio, reach):.1f}", middle
        )
    )
    return _wrap(parts, height=_HEIGHT)


def ratio_axis(*, reach: float) -> Markup:
    """The scale that stands above the bars."""
    marks = ((1 / reach, "start"), (1.0, "middle"), (reach, "end"))
    return _wrap([text_at(_x(mark, reach), 13, f"{mark:.2g}x", anchor=anchor) for mark, anchor in marks], height=18)


def _wrap(parts: Sequence[Markup], *, height: int) -> Markup:
    head = Markup('<svg class="bar" viewBox="0 0 {} {}" aria-hidden="true">').format(_WIDTH, height)
    return head + Markup("").join(parts) + Markup("</svg>")


def _x(ratio: float, reach: float) -> float:
    part = math.log(ratio) / math.log(reach)
    return _WIDTH / 2 + max(-1.0, min(1.0, part)) * (_WIDTH / 2 - _EDGE)
