"""The picture of a comparison: every quad's ratio, their mean with its interval, and the band that counts as none."""

import math

from markupsafe import Markup

from tokenforge.analysis.plain import Plain, mapping, mappings, number, text
from tokenforge.report.charts import Words, svg, text_at
from tokenforge.report.verdict_view import change

_WIDTH, _LEFT, _RIGHT = 640, 118, 92
_TOP, _ROW, _BOTTOM = 26, 24, 40
_REACHES = (1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
_ROUND = (1000, 300, 100, 30, 10, 5, 3, 2, 1.5, 1.3, 1.2, 1.1, 1.05, 1.02, 1.01)
_APART = 64


def quad_picture(summary: Plain) -> Markup | None:
    """The picture of a summary's `head_to_head`; None where no quad has a ratio."""
    found = mapping(summary, "head_to_head")
    primary = mapping(found, "primary")
    quads = [quad for quad in mappings(primary, "quads") if (number(quad, "ratio") or 0) > 0]
    if not quads:
        return None
    delta = number(found, "delta") or 0.0
    ratio, low, high = (number(primary, key) for key in ("ratio", "low", "high"))
    known = [one for one in (ratio, low, high, 1 + delta, *(number(quad, "ratio") for quad in quads)) if one]
    scale = _Scale(max(max(one, 1 / one) for one in known))
    height = _TOP + _ROW * (len(quads) + 1) + _BOTTOM
    verdict = text(found, "verdict") or "inconclusive"
    body = [
        scale.band(delta, height=height),
        *scale.axis(height=height),
        *(part for row, quad in enumerate(quads) for part in _quad(quad, row=row, scale=scale)),
        *_mean(ratio, low, high, row=len(quads), scale=scale, verdict=verdict),
    ]
    return svg(_words(primary, len(quads)), body, width=_WIDTH, height=height)


class _Scale:
    """A logarithmic axis around 1 that reaches at least `most` on both sides."""

    def __init__(self, most: float) -> None:
        self.reach = next((reach for reach in _REACHES if reach >= most), most)

    def x(self, ratio: float) -> float:
        part = max(-1.0, min(1.0, math.log(ratio) / math.log(self.reach)))
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        return middle + part * (_WIDTH - _RIGHT - _LEFT) / 2

    def band(self, delta: float, *, height: int) -> Markup:
        left, right = self.x(1 / (1 + delta)), self.x(1 + delta)
        return Markup('<rect class="band" x="{}" y="{}" width="{}" height="{}"/>').format(
            f"{left:.1f}", _TOP - 14, f"{right - left:.1f}", height - _TOP - _BOTTOM + 20
        )

    def axis(self, *, height: int) -> list[Markup]:
        floor = height - _BOTTOM + 8
        parts = [
            Markup('<path class="one" d="M{} {}V{}"/>').format(f"{self.x(1):.1f}", _TOP - 14, floor),
            Markup('<path class="axis" d="M{} {}H{}"/>').format(_LEFT, floor, _WIDTH - _RIGHT),
        ]
        parts += [text_at(self.x(mark), floor + 17, _mark_text(mark), anchor="middle") for mark in self.marks()]
        return parts

    def marks(self) -> list[float]:
        """Round changes that lie on the axis, far enough apart to be read; the outer ones first."""
        found = [1.0]
        for ratio in (*_ROUND, *(2 - ratio for ratio in _ROUND if ratio < 2)):
            is_inside = 1 / self.reach <= ratio <= self.reach
            if is_inside and all(abs(self.x(ratio) - self.x(other)) >= _APART for other in found):
                found.append(ratio)
        return sorted(found)


def _quad(quad: Plain, *, row: int, scale: _Scale) -> list[Markup]:
    ratio, y = number(quad, "ratio") or 1.0, _TOP + _ROW * row
    label = f"Quad {int(number(quad, 'quad') or 0) + 1}  {' '.join(text(quad, 'order') or '')}"
    return [
        text_at(_LEFT - 12, y + 4, label, anchor="end"),
        Markup('<circle class="trial s0" cx="{}" cy="{}" r="4.5"/>').format(f"{scale.x(ratio):.1f}", y),
        text_at(_WIDTH - _RIGHT + 14, y + 4, change(ratio)),
    ]


def _mean(
    ratio: float | None, low: float | None, high: float | None, *, row: int, scale: _Scale, verdict: str
) -> list[Markup]:
    if ratio is None:
        return []
    y = _TOP + _ROW * row + 4
    parts = [text_at(_LEFT - 12, y + 4, "Mean, 95 %", anchor="end", css="name")]
    if low is not None and high is not None:
        left, right = f"{scale.x(low):.1f}", f"{scale.x(high):.1f}"
        path = f"M{left} {y}H{right}M{left} {y - 6}v12M{right} {y - 6}v12"
        parts.append(Markup('<path class="whisker v-{}" d="{}"/>').format(verdict, path))
    spot = f"{scale.x(ratio):.1f}"
    parts.append(Markup('<circle class="ratio v-{}" cx="{}" cy="{}" r="6"/>').format(verdict, spot, y))
    parts.append(text_at(_WIDTH - _RIGHT + 14, y + 4, change(ratio), css="name"))
    return parts


def _mark_text(ratio: float) -> str:
    if ratio == 1.0:
        return "equal"
    return f"{ratio:.2g}x" if max(ratio, 1 / ratio) >= 2 else f"{100 * (ratio - 1):+.3g} %"


def _words(primary: Plain, quads: int) -> Words:
    label: str = text(primary, "label") or "the metric"
    return Words(
        key="verdict-picture",
        title=f"{label[:1].upper()}{label[1:]} of B against A, quad by quad",
        description=f"Change of each of {quads} quads in percent, their mean and its 95 % interval, on a log scale.",
    )


def picture_caption(summary: Plain) -> str:
    """What to look for."""
    found = mapping(summary, "head_to_head")
    primary = mapping(found, "primary")
    better = "right" if primary.get("higher_is_better") is True else "left"
    label: str = text(primary, "label") or "the metric"
    margin = f"{100 * (number(found, 'delta') or 0):g} %"
    what = f"{label[:1].upper()}{label[1:]} of B against A."
    return (
        f"{what} Each circle is a quad (four trials), the bar is their mean with its 95 % interval. Further to the "
        f"{better} is better for B. The grey band is ±{margin}: what is surely inside is no difference that matters."
    )
