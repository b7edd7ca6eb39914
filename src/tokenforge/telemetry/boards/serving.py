"""The Serving dashboard: what users get."""

from tokenforge.telemetry.boards.model import TOKENS, TOKENS_PER_S, Board, Panel, Query, Row, Variable
from tokenforge.telemetry.boards.promql import OF_DEPLOYMENT, mean, quantile, rate, select, total
from tokenforge.telemetry.catalogue import benchmark, engine, platform, serving
from tokenforge.telemetry.catalogue.definition import Metric

DEPLOYMENT = Variable(
    name="deployment", label="Deployment", query=f"label_values({serving.REQUESTS.full_name}, deployment)"
)
PRICE = Variable(name="price", label="$ per hour of one replica", default="2")
_READY = OF_DEPLOYMENT + ',state="ready"'
_FAILED = 'outcome!~"ok|cancelled"'


def quantiles(metric: Metric, where: str = OF_DEPLOYMENT) -> tuple[Query, ...]:
    """p50, p95 and p99."""
    return tuple(
        Query(expr=quantile(share, metric, where=where), legend=f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)
    )


_TRAFFIC = Row(
    title="Traffic",
    panels=(
        Panel(
            title="Requests a second",
            text="Answered by workers, by how they ended.",
            unit="reqps",
            stacked=True,
            queries=(Query(expr=rate(serving.REQUESTS, by=("outcome",), where=OF_DEPLOYMENT), legend="{{outcome}}"),),
        ),
        Panel(
            title="Tokens a second",
            text="Prompt tokens of generations that ended, and tokens generated.",
            unit=TOKENS_PER_S,
            queries=(
                Query(
                    expr=rate(serving.PROMPT_TOKENS, by=("source",), where=OF_DEPLOYMENT), legend="prompt, {{source}}"
                ),
                Query(expr=rate(serving.GENERATION_TOKENS, where=OF_DEPLOYMENT), legend="generated"),
            ),
        ),
        Panel(
            title="Tokens delivered by the gateway",
            text="By the engines' own count, or the events of streams that were cut.",
            unit=TOKENS_PER_S,
            queries=(
                Query(expr=rate(platform.HTTP_TOKENS, by=("kind", "source")), legend="{{kind}}, counted by {{source}}"),
            ),
        ),
        Panel(
            title="Why generations ended",
            text="By the engine; `length` is the limit that was asked for.",
            unit="reqps",
            queries=(
                Query(
                    expr=rate(serving.FINISHED, by=("finish_reason",), where=OF_DEPLOYMENT), legend="{{finish_reason}}"
                ),
            ),
        ),
    ),
)

_LATENCY = Row(
    title="Latency in the worker",
    panels=(
        Panel(
            title="Time to first token",
            text="From the request's last byte at the worker.",
            unit="s",
            log=True,
            steps=((10.0, "red"),),
            queries=quantiles(serving.TIME_TO_FIRST_TOKEN),
        ),
        Panel(
            title="Between tokens",
            text="As the engine made them.",
            unit="s",
            log=True,
            queries=quantiles(serving.INTER_TOKEN_LATENCY),
        ),
        Panel(
            title="Time per output token",
            text="Of whole answers, after their first token.",
            unit="s",
            log=True,
            queries=quantiles(serving.TIME_PER_OUTPUT_TOKEN),
        ),
        Panel(
            title="Whole request",
            text="To the answer's last byte.",
            unit="s",
            log=True,
            queries=quantiles(serving.DURATION),
        ),
        Panel(
            title="Where the time goes",
            text="Means; they add up to the time until the last token.",
            unit="s",
            stacked=True,
            queries=(Query(expr=mean(serving.PHASE, by=("phase",), where=OF_DEPLOYMENT), legend="{{phase}}"),),
        ),
        Panel(
            title="Gateway against worker, p50",
            text="What the way through the gateway adds.",
            unit="s",
            queries=(
                Query(expr=quantile(0.5, platform.HTTP_DURATION), legend="gateway"),
                Query(expr=quantile(0.5, serving.DURATION, where=OF_DEPLOYMENT), legend="worker"),
            ),
        ),
    ),
)

_QUEUE = Row(
    title="Queue and admission",
    panels=(
        Panel(
            title="Waiting in the engine",
            text="Requests that have no place in the batch yet.",
            queries=(
                Query(expr=total(engine.WAITING, by=("deployment",), where=OF_DEPLOYMENT), legend="{{deployment}}"),
            ),
        ),
        Panel(
            title="Running in the engine",
            text="Sequences in the batch.",
            queries=(
                Query(expr=total(engine.RUNNING, by=("deployment",), where=OF_DEPLOYMENT), legend="{{deployment}}"),
            ),
        ),
        Panel(
            title="How full the workers are",
            text="Requests inside, by how many may be; at 1 more are turned away.",
            unit="percentunit",
            steps=((0.8, "orange"), (0.9, "red")),
            queries=(
                Query(
                    expr=f"{select(serving.INSIDE, OF_DEPLOYMENT)} / {select(serving.CAPACITY, OF_DEPLOYMENT)}",
                    legend="{{replica}}",
                ),
            ),
        ),
    ),
)

_ERRORS = Row(
    title="Errors by cause",
    panels=(
        Panel(
            title="Errors told by the gateway",
            text="What its clients were told, by the error's code.",
            unit="reqps",
            stacked=True,
            queries=(Query(expr=rate(platform.HTTP_REQUESTS, by=("outcome",), where=_FAILED), legend="{{outcome}}"),),
        ),
        Panel(
            title="Errors told by workers",
            text="A worker's error may have been answered by another replica.",
            unit="reqps",
            stacked=True,
            queries=(
                Query(
                    expr=rate(serving.REQUESTS, by=("deployment", "outcome"), where=f"{OF_DEPLOYMENT},{_FAILED}"),
                    legend="{{deployment}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Brought to another replica",
            text="No byte had gone out, so the client did not notice.",
            unit="reqps",
            queries=(Query(expr=rate(platform.HTTP_RETRIES, by=("path",)), legend="{{path}}"),),
        ),
    ),
)

_CLIENT = Row(
    title="Seen from the client, and what it costs",
    panels=(
        Panel(
            title="Time to first token, client against worker, p50",
            text="While a benchmark runs: the load generator's own clock, from the schedule, against the worker's.",
            unit="s",
            queries=(
                Query(expr=quantile(0.5, benchmark.TIME_TO_FIRST_TOKEN), legend="client"),
                Query(expr=quantile(0.5, serving.TIME_TO_FIRST_TOKEN), legend="worker"),
            ),
        ),
        Panel(
            title="$ for a million output tokens",
            text="The price above, by replicas that serve, by tokens generated.",
            unit="currencyUSD",
            queries=(
                Query(
                    expr="1e6 * $price / 3600 * "
                    f"count by (deployment) ({select(engine.WORKER_STATE, _READY)} == 1) / "
                    f"{rate(serving.GENERATION_TOKENS, by=('deployment',), where=OF_DEPLOYMENT)}",
                    legend="{{deployment}}",
                ),
            ),
        ),
        Panel(
            title="Lengths, p50",
            text="Tokens of prompts and answers.",
            unit=TOKENS,
            queries=(
                Query(expr=quantile(0.5, serving.REQUEST_PROMPT_TOKENS, where=OF_DEPLOYMENT), legend="prompt"),
                Query(expr=quantile(0.5, serving.REQUEST_GENERATION_TOKENS, where=OF_DEPLOYMENT), legend="answer"),
            ),
        ),
    ),
)

SERVING = Board(
    uid="tokenforge-serving",
    title="TokenForge / Serving",
    text="What users get: traffic, latency, queues, errors by cause.",
    variables=(DEPLOYMENT, PRICE),
    rows=(_TRAFFIC, _LATENCY, _QUEUE, _ERRORS, _CLIENT),
)
