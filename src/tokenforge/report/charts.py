"""Charts as inline SVG: axes, lines, points. Text is text, colours are the page's variables, nothing needs a script.

Coordinates have one decimal, so the same numbers always make the same bytes. Every chart has a title and a description
for those who cannot see it; the page gives its data as a table too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 268
SLOTS = 6
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 12, 44

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis from `low` to `high`, linear or logarithmic, with its label (and unit)."""

    low: float
    high: float
    label: str
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies between 0 and 1; outside values are put on the edge."""
        if self.log:
            value = max(value, self.low)
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points, in the colour and dash of `slot`. Faint lines lie behind and carry no meaning alone."""

    slot: int
    points: Sequence[Point]
    is_faint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Many small points in the colour of `slot`."""

    slot: int
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of a chart: `key` is unique on the page, `title` its name, `description` what it shows."""

    key: str
    title: str
    description: str


def chart(words: Words, *, x: Axis, y: Axis, marks: Sequence[Line | Dots], height: int = HEIGHT) -> Markup:
    """A chart with both axes. Marks are drawn in order."""
    frame = _Frame(x=x, y=y, height=height)
    body = [frame.grid(), *(frame.mark(mark) for mark in marks), frame.labels()]
    return svg(words, body, width=WIDTH, height=height)


def svg(words: Words, body: Sequence[Markup], *, width: float, height: float) -> Markup:
    """The outer element, with title and description."""
    head = Markup(
        '<svg class="chart" viewBox="0 0 {w:g} {h:g}" role="img" aria-labelledby="{k}-t {k}-d">'
        '<title id="{k}-t">{title}</title><desc id="{k}-d">{desc}</desc>'
    ).format(w=width, h=height, k=words.key, title=words.title, desc=words.description)
    return head + Markup("").join(body) + Markup("</svg>")


def axis_for(values: Sequence[float], label: str, *, may_log: bool = False, from_zero: bool = True) -> Axis:
    """An axis that holds the values; logarithmic (if allowed) where the largest is over 20 times the smallest."""
    positive = [value for value in values if value > 0]
    if not positive:
        return Axis(low=0.0, high=1.0, label=label)
    low, high = min(positive), max(positive)
    if may_log and high / low > 20:
        return Axis(low=low, high=high * 1.05, label=f"{label}, log scale", log=True)
    room = (high - low) * 0.05 or high * 0.1
    return Axis(low=0.0 if from_zero else max(0.0, low - room), high=high + room, label=label)


def ticks(axis: Axis, *, most: int = 6) -> Sequence[float]:
    """Round numbers inside the axis, at most about `most`."""
    if axis.log:
        return _log_ticks(axis, most)
    raw = (axis.high - axis.low) / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(axis.low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(axis.high / step + 1e-9) + 1)]


def tick_text(value: float) -> str:
    """A tick's number: no more digits than it has."""
    return f"{value:,.10g}" if abs(value) < 1e6 else f"{value:.3g}"


def _log_ticks(axis: Axis, most: int) -> Sequence[float]:
    powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        marks = [f * 10.0**p for p in powers for f in factors if axis.low <= f * 10.0**p <= axis.high]
        if len(marks) <= most + 1:
            break
    return marks or [axis.low, axis.high]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    x: Axis
    y: Axis
    height: int

    def at(self, point: Point) -> str:
        return f"{self.left(point[0]):.1f} {self.top(point[1]):.1f}"

    def left(self, value: float) -> float:
        return _LEFT + self.x.place(value) * (WIDTH - _LEFT - _RIGHT)

    def top(self, value: float) -> float:
        return self.height - _BOTTOM - self.y.place(value) * (self.height - _TOP - _BOTTOM)

    def grid(self) -> Markup:
        floor = self.height - _BOTTOM
        lines = "".join(f"M{_LEFT} {self.top(t):.1f}H{WIDTH - _RIGHT}" for t in ticks(self.y, most=5))
        return Markup('<path class="grid" d="{}"/><path class="axis" d="M{} {}H{}"/>').format(
            lines, _LEFT, floor, WIDTH - _RIGHT
        )

    def labels(self) -> Markup:
        floor = self.height - _BOTTOM
        parts = [text_at(self.left(t), floor + 17, tick_text(t), anchor="middle") for t in ticks(self.x)]
        parts += [text_at(_LEFT - 8, self.top(t) + 4, tick_text(t), anchor="end") for t in ticks(self.y, most=5)]
        parts.append(text_at((_LEFT + WIDTH - _RIGHT) / 2, self.height - 8, self.x.label, anchor="middle", css="name"))
        return Markup("").join(parts)

    def mark(self, mark: Line | Dots) -> Markup:
        if not mark.points:
            return Markup("")
        if isinstance(mark, Dots):
            path = "".join(f"M{self.at(point)}h0" for point in mark.points)
            return Markup('<path class="dots s{}" d="{}"/>').format(mark.slot % SLOTS, path)
        path = "M" + "L".join(self.at(point) for point in mark.points)
        css = "line faint" if mark.is_faint else "line"
        return Markup('<path class="{} s{}" d="{}"/>').format(css, mark.slot % SLOTS, path)


def text_at(x: float, y: float, words: str, *, anchor: str = "start", css: str = "tick") -> Markup:
    """A piece of text; it is escaped."""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        css, f"{x:.1f}", f"{y:.1f}", anchor, escape(words)
    )
