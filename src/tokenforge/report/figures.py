"""The figures of one workload: distributions, time, trials. Each with a caption, a legend, and its data as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from tokenforge.analysis.intervals import over_trials
from tokenforge.analysis.latency import TrialMetric, trial_metric
from tokenforge.report.charts import (
    WIDTH,
    Axis,
    Dots,
    Line,
    Point,
    Words,
    axis_for,
    chart,
    svg,
    text_at,
    tick_text,
    ticks,
)
from tokenforge.report.numbers import number_text
from tokenforge.report.series import RunSeries, cdf_points, flight_lines, longest_s, token_lines, ttft_dots

_CDF_TOP = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns and rows of text, for those who want the numbers of a figure."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart on the page. `legend` pairs a name with its colour slot."""

    title: str
    caption: str
    svg: Markup
    legend: tuple[tuple[str, int], ...]
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """A distribution as a chart shows it: its ends, points of its line, its quantiles. There may be none of them."""

    bounds: Sequence[float]
    points: Sequence[Point]
    marks: TrialMetric


def workload_figures(runs: Sequence[RunSeries], *, key: str) -> tuple[Figure, ...]:
    """All figures of one model and workload; `key` makes their element ids unique."""
    shown = [run for run in runs if any(len(trial.requests) for trial in run.trials)]
    if not shown:
        return ()
    origin = "when the request was due" if shown[0].is_open else "the send"
    figures = [
        _cdf(shown, metric=shown[0].ttft_metric, key=f"{key}-ttft", name="Time to first token", origin=origin),
        _cdf(shown, metric="itl", key=f"{key}-itl", name="Inter-token latency", origin="the token before"),
        *_over_time(shown, key=key),
        *_trial_figures(shown, key=key),
    ]
    return tuple(figure for figure in figures if figure is not None)


def _cdf(runs: Sequence[RunSeries], *, metric: str, key: str, name: str, origin: str) -> Figure | None:
    spreads = [_spread(run, metric) for run in runs]
    bounds = [bound for one in spreads for bound in one.bounds]
    if not bounds:
        return None
    x = axis_for(bounds, f"{name}, ms", may_log=True)
    lines = [Line(slot=run.slot, points=one.points) for run, one in zip(runs, spreads, strict=True)]
    words = Words(key=key, title=f"{name}: distribution", description=f"Share of values at or below each {name}.")
    marks = [(run.runtime, one.marks) for run, one in zip(runs, spreads, strict=True)]
    rows = tuple((who, *(number_text(v) for v in (m.p50, m.p90, m.p95, m.p99, m.mean))) for who, m in marks)
    return Figure(
        title=f"{name}: distribution",
        caption=f"Share of values (%) at or below x, all trials together; from {origin}. Further left is faster.",
        svg=chart(words, x=x, y=Axis(low=0, high=100, label="%"), marks=lines),
        legend=_legend(runs),
        table=Table(columns=("runtime, ms", "p50", "p90", "p95", "p99", "mean"), rows=rows),
    )


def _spread(run: RunSeries, metric: str) -> _Spread:
    values = run.pooled(metric)
    marks = trial_metric(values, trial=0, may_reorder=True)
    bounds = np.quantile(values, [0.001, _CDF_TOP], overwrite_input=True).tolist() if len(values) else []
    return _Spread(bounds=bounds, points=cdf_points(values), marks=marks)


def _over_time(runs: Sequence[RunSeries], *, key: str) -> list[Figure]:
    until_s = longest_s(runs)
    return [
        *_ttft_over_time(runs, key=key),
        _time_figure(runs, key=f"{key}-flight", name="Requests in flight", until_s=until_s, is_tokens=False),
        _time_figure(runs, key=f"{key}-tokens", name="Output tokens/s", until_s=until_s, is_tokens=True),
    ]


def _ttft_over_time(runs: Sequence[RunSeries], *, key: str) -> list[Figure]:
    dots = {run.runtime: ttft_dots(run) for run in runs}
    every = [point for points in dots.values() for point in points]
    if not every:
        return []
    x = axis_for([point[0] for point in every], "Seconds into the trial" if runs[0].is_open else "Seconds, at the send")
    y = axis_for([point[1] for point in every], "TTFT, ms", may_log=True)
    scale = " (log scale)" if y.log else ""
    figures = []
    for number, run in enumerate(runs):
        words = Words(
            key=f"{key}-time{number}",
            title=f"TTFT over time: {run.runtime}",
            description=f"TTFT in ms of requests of {run.runtime} against seconds into the trial.",
        )
        figures.append(
            Figure(
                title=f"TTFT over time: {run.runtime}",
                caption=f"Each dot is a request, all trials over each other; TTFT in ms{scale}, one scale for all "
                "runtimes. A cloud that climbs is a queue that grows.",
                svg=chart(words, x=x, y=y, marks=[Dots(slot=run.slot, points=dots[run.runtime])]),
                legend=((run.runtime, run.slot),),
                table=_thirds_table(run),
            )
        )
    return figures


def _thirds_table(run: RunSeries) -> Table:
    """Mean TTFT in the first, middle and last third of each trial."""
    rows = []
    for trial in run.trials:
        waits = getattr(trial.latencies, run.ttft_metric)
        parts = [part[~np.isnan(part)] for part in np.array_split(waits, 3)]
        rows.append((str(trial.requests.trial + 1), *(number_text(float(p.mean()) if len(p) else None) for p in parts)))
    return Table(columns=("trial", "first third, ms", "middle third, ms", "last third, ms"), rows=tuple(rows))


def _time_figure(runs: Sequence[RunSeries], *, key: str, name: str, until_s: float, is_tokens: bool) -> Figure:
    lines: list[Line] = []
    means: list[Line] = []
    rows = []
    for run in runs:
        each, mean = (token_lines if is_tokens else flight_lines)(run, until_s=until_s)
        lines += [Line(slot=run.slot, points=points, is_faint=True) for points in each]
        means.append(Line(slot=run.slot, points=mean))
        heights = [point[1] for point in mean]
        middle = sum(heights) / len(heights) if heights else None
        rows.append((run.runtime, number_text(middle), number_text(max(heights, default=None))))
    tops = [point[1] for line in (*lines, *means) for point in line.points]
    words = Words(key=key, title=f"{name} over time", description=f"{name} over the seconds of a trial, per runtime.")
    return Figure(
        title=f"{name} over time",
        caption=f"{name}. Thin lines are trials, the strong line is their mean.",
        svg=chart(
            words,
            x=Axis(low=0, high=until_s, label="Seconds into the trial"),
            y=axis_for(tops, name),
            marks=[*lines, *means],
        ),
        legend=_legend(runs),
        table=Table(columns=("runtime", "mean over time", "highest mean"), rows=tuple(rows)),
    )


def _trial_figures(runs: Sequence[RunSeries], *, key: str) -> list[Figure | None]:
    ttft = runs[0].ttft_metric
    return [
        _trials(runs, [_means(run, ttft) for run in runs], key=f"{key}-tt", name="Mean TTFT", unit="ms"),
        _trials(runs, [_means(run, "tpot") for run in runs], key=f"{key}-tp", name="Mean TPOT", unit="ms"),
        _trials(
            runs,
            [[trial.rates.output_tokens_per_s for trial in run.trials] for run in runs],
            key=f"{key}-to",
            name="Output throughput",
            unit="tokens/s",
        ),
    ]


def _means(run: RunSeries, metric: str) -> list[float | None]:
    return [trial_metric(t.latencies.samples(metric), trial=t.requests.trial).mean for t in run.trials]


def _trials(
    runs: Sequence[RunSeries], values: Sequence[Sequence[float | None]], *, key: str, name: str, unit: str
) -> Figure | None:
    """A row per runtime: a dot per trial from above to below in order, the mean as a bar with its interval."""
    every = [value for row in values for value in row if value is not None]
    if not every:
        return None
    estimates = [over_trials(row) for row in values]
    x = axis_for([*every, *(e.high for e in estimates if e.high is not None)], f"{name}, {unit}")
    row_height, top = 56, 10
    height = top + row_height * len(runs) + 44
    body = [_trial_axis(x, floor=height - 44, top=top)]
    for number, (run, row, estimate) in enumerate(zip(runs, values, estimates, strict=True)):
        middle = top + row_height * number + row_height / 2
        body.append(_trial_row(run, row, x=x, middle=middle, low=estimate.low, high=estimate.high, mean=estimate.value))
    words = Words(key=key, title=f"{name} per trial", description=f"{name} in {unit} of each trial, with the mean.")
    rows = tuple(
        (run.runtime, *(number_text(v) for v in (e.value, e.low, e.high)), ", ".join(number_text(v) for v in row))
        for run, row, e in zip(runs, values, estimates, strict=True)
    )
    return Figure(
        title=f"{name} per trial",
        caption="A dot is a trial, in order from top to bottom; the bar is the mean, the line its 95 % interval.",
        svg=svg(words, body, width=WIDTH, height=height),
        legend=_legend(runs),
        table=Table(columns=(f"runtime, {unit}", "mean", "low", "high", "trials"), rows=rows),
    )


_ROW_LEFT, _ROW_RIGHT = 16, 20


def _trial_axis(x: Axis, *, floor: float, top: float) -> Markup:
    lines = "".join(f"M{_row_x(x, t):.1f} {top}V{floor:g}" for t in ticks(x))
    labels = [text_at(_row_x(x, t), floor + 17, tick_text(t), anchor="middle") for t in ticks(x)]
    name = text_at(WIDTH / 2, floor + 36, x.label, anchor="middle", css="name")
    return Markup('<path class="grid" d="{}"/>').format(lines) + Markup("").join(labels) + name


def _trial_row(
    run: RunSeries,
    row: Sequence[float | None],
    *,
    x: Axis,
    middle: float,
    low: float | None,
    high: float | None,
    mean: float | None,
) -> Markup:
    parts = []
    if low is not None and high is not None:
        left, right = _row_x(x, low), _row_x(x, high)
        parts.append(
            Markup('<path class="interval s{}" d="{}"/>').format(
                run.slot,
                f"M{left:.1f} {middle:.1f}H{right:.1f}M{left:.1f} {middle - 5:.1f}v10M{right:.1f} {middle - 5:.1f}v10",
            )
        )
    if mean is not None:
        place = f"M{_row_x(x, mean):.1f} {middle - 20:.1f}v40"
        parts.append(Markup('<path class="mean s{}" d="{}"/>').format(run.slot, place))
    gap = min(9.0, 38 / max(1, len(row) - 1))
    for number, value in enumerate(row):
        if value is not None:
            y = middle + (number - (len(row) - 1) / 2) * gap
            parts.append(
                Markup('<circle class="trial s{}" cx="{}" cy="{}" r="3.6"/>').format(
                    run.slot, f"{_row_x(x, value):.1f}", f"{y:.1f}"
                )
            )
    return Markup("").join(parts)


def _row_x(x: Axis, value: float) -> float:
    return _ROW_LEFT + x.place(value) * (WIDTH - _ROW_LEFT - _ROW_RIGHT)


def _legend(runs: Sequence[RunSeries]) -> tuple[tuple[str, int], ...]:
    return tuple((run.runtime, run.slot) for run in runs)
