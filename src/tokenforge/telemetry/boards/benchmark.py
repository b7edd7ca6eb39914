"""The Benchmark dashboard: a run while it goes on, at the load generator."""

from tokenforge.telemetry.boards.model import TOKENS_PER_S, Board, Panel, Query, Row, Variable
from tokenforge.telemetry.boards.promql import OF_BENCHMARK, quantile, rate, select
from tokenforge.telemetry.catalogue import benchmark
from tokenforge.telemetry.catalogue.definition import Metric

_BY = ("runtime", "workload")
_NAMES = "{{runtime}} {{workload}}"
_VARIABLES = tuple(
    Variable(name=name, label=label, query=f"label_values({benchmark.SENT.full_name}, {name})")
    for name, label in (("runtime", "Runtime"), ("workload", "Workload"))
)
_MET = OF_BENCHMARK + ',met="true"'


def _quantiles(metric: Metric, shares: tuple[float, ...] = (0.5, 0.99)) -> tuple[Query, ...]:
    return tuple(
        Query(expr=quantile(share, metric, by=_BY, where=OF_BENCHMARK), legend=f"{_NAMES} p{share * 100:g}")
        for share in shares
    )


_LOAD = Row(
    title="Load",
    panels=(
        Panel(
            title="Offered and achieved rate",
            text="What the plan asks for, what was sent, what ended.",
            unit="reqps",
            queries=(
                Query(expr=select(benchmark.OFFERED_RATE, OF_BENCHMARK), legend=_NAMES + " offered"),
                Query(expr=rate(benchmark.SENT, by=_BY, where=OF_BENCHMARK), legend=_NAMES + " sent"),
                Query(expr=rate(benchmark.REQUESTS, by=_BY, where=OF_BENCHMARK), legend=_NAMES + " ended"),
            ),
        ),
        Panel(
            title="In flight",
            text="Growing without end is over-saturation.",
            queries=(Query(expr=select(benchmark.IN_FLIGHT, OF_BENCHMARK), legend=_NAMES),),
        ),
        Panel(
            title="Send lag",
            text="How late requests left; it belongs to the generator, not to the server.",
            unit="s",
            log=True,
            steps=((0.02, "red"),),
            queries=_quantiles(benchmark.LAG),
        ),
    ),
)

_LATENCY = Row(
    title="Latency at the client",
    panels=(
        Panel(
            title="Time to first token",
            text="From the schedule in an open loop.",
            unit="s",
            log=True,
            queries=_quantiles(benchmark.TIME_TO_FIRST_TOKEN),
        ),
        Panel(
            title="Time per output token",
            text="After the first token.",
            unit="s",
            log=True,
            queries=_quantiles(benchmark.TIME_PER_OUTPUT_TOKEN),
        ),
        Panel(
            title="Whole request",
            text="From the schedule in an open loop.",
            unit="s",
            log=True,
            queries=_quantiles(benchmark.DURATION),
        ),
    ),
)

_RESULT = Row(
    title="Results",
    panels=(
        Panel(
            title="Goodput",
            text="Requests a second that kept every limit of the SLO.",
            unit="reqps",
            queries=(Query(expr=rate(benchmark.SLO, by=_BY, where=_MET), legend=_NAMES),),
        ),
        Panel(
            title="SLO attainment",
            text="Of all that ended; errors are not good.",
            unit="percentunit",
            steps=((0.9, "orange"), (0.99, "green")),
            base="red",
            queries=(
                Query(
                    expr=f"{rate(benchmark.SLO, by=_BY, where=_MET)} / "
                    f"{rate(benchmark.SLO, by=_BY, where=OF_BENCHMARK)}",
                    legend=_NAMES,
                ),
            ),
        ),
        Panel(
            title="Tokens a second",
            text="As the server counts them.",
            unit=TOKENS_PER_S,
            queries=(
                Query(expr=rate(benchmark.OUTPUT_TOKENS, by=_BY, where=OF_BENCHMARK), legend=_NAMES + " output"),
                Query(expr=rate(benchmark.PROMPT_TOKENS, by=_BY, where=OF_BENCHMARK), legend=_NAMES + " prompt"),
            ),
        ),
        Panel(
            title="How requests ended",
            text="As in the record.",
            unit="reqps",
            stacked=True,
            width=12,
            queries=(
                Query(
                    expr=rate(benchmark.REQUESTS, by=("outcome", *_BY), where=OF_BENCHMARK),
                    legend=_NAMES + " {{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Trial",
            text="Which one runs.",
            width=12,
            queries=(Query(expr=select(benchmark.TRIAL, OF_BENCHMARK), legend=_NAMES),),
        ),
    ),
)

BENCHMARK = Board(
    uid="tokenforge-benchmark",
    title="TokenForge / Benchmark",
    text="A benchmark while it runs, at the load generator: offered and achieved rate, lag, latency, goodput.",
    variables=_VARIABLES,
    rows=(_LOAD, _LATENCY, _RESULT),
)
