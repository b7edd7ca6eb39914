"""The Runtime dashboard: what engines do, and one against another."""

from tokenforge.telemetry.boards.model import CORES, TOKENS, TOKENS_PER_S, Board, Look, Needs, Panel, Query, Row
from tokenforge.telemetry.boards.promql import OF_DEPLOYMENT, WINDOW, mean, quantile, rate, select, total
from tokenforge.telemetry.boards.serving import DEPLOYMENT
from tokenforge.telemetry.catalogue import engine, serving

_CPU = f'rate(process_cpu_seconds_total{{process="worker",{OF_DEPLOYMENT}}}[{WINDOW}])'
_MEMORY = f'process_resident_memory_bytes{{process="worker",{OF_DEPLOYMENT}}}'

_BATCH = Row(
    title="Batch",
    panels=(
        Panel(
            title="Tokens in a step",
            text="Mean over the engine's steps: prompt tokens and one for each sequence that decodes.",
            unit=TOKENS,
            queries=(
                Query(expr=mean(engine.BATCH_TOKENS, by=("deployment",), where=OF_DEPLOYMENT), legend="{{deployment}}"),
            ),
        ),
        Panel(
            title="Steps a second",
            text="How often the engine computes.",
            unit="ops",
            queries=(
                Query(
                    expr=rate(engine.BATCH_TOKENS, by=("deployment",), where=OF_DEPLOYMENT, suffix="_count"),
                    legend="{{deployment}}",
                ),
            ),
        ),
        Panel(
            title="Running and waiting",
            text="By replica.",
            queries=(
                Query(expr=select(engine.RUNNING, OF_DEPLOYMENT), legend="{{replica}} running"),
                Query(expr=select(engine.WAITING, OF_DEPLOYMENT), legend="{{replica}} waiting"),
            ),
        ),
    ),
)

_CACHE = Row(
    title="KV cache",
    panels=(
        Panel(
            title="In use",
            text="By replica; engines that do not say are absent.",
            unit="percentunit",
            steps=((0.9, "orange"), (0.95, "red")),
            queries=(Query(expr=select(engine.KV_USAGE, OF_DEPLOYMENT), legend="{{replica}}"),),
        ),
        Panel(
            title="Tokens it can hold",
            text="By deployment, all replicas together.",
            unit=TOKENS,
            queries=(
                Query(expr=total(engine.KV_CAPACITY, by=("deployment",), where=OF_DEPLOYMENT), legend="{{deployment}}"),
            ),
        ),
        Panel(
            title="Prefix hits",
            text="Share of prompt tokens found in the prefix cache, where the engine has one.",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"{rate(engine.PREFIX_HITS, by=('deployment',), where=OF_DEPLOYMENT)} / "
                    f"{rate(engine.PREFIX_QUERIES, by=('deployment',), where=OF_DEPLOYMENT)}",
                    legend="{{deployment}}",
                    needs=Needs.VLLM,
                ),
            ),
        ),
        Panel(
            title="Preemptions a second",
            text="Sequences put out of the cache, to be computed again.",
            unit="ops",
            steps=((0.1, "red"),),
            queries=(
                Query(expr=rate(engine.PREEMPTIONS, by=("deployment",), where=OF_DEPLOYMENT), legend="{{deployment}}"),
            ),
        ),
    ),
)

_AGAINST = Row(
    title="One runtime against another",
    panels=(
        Panel(
            title="Tokens generated a second",
            text="By runtime; the load on each decides as much as the engine.",
            unit=TOKENS_PER_S,
            queries=(Query(expr=rate(serving.GENERATION_TOKENS, by=("runtime",)), legend="{{runtime}}"),),
        ),
        Panel(
            title="Time to first token, p50",
            text="By runtime, in the worker.",
            unit="s",
            log=True,
            queries=(Query(expr=quantile(0.5, serving.TIME_TO_FIRST_TOKEN, by=("runtime",)), legend="{{runtime}}"),),
        ),
        Panel(
            title="Time per output token, p50",
            text="By runtime, in the worker.",
            unit="s",
            log=True,
            queries=(Query(expr=quantile(0.5, serving.TIME_PER_OUTPUT_TOKEN, by=("runtime",)), legend="{{runtime}}"),),
        ),
    ),
)

_WORKER = Row(
    title="Workers",
    panels=(
        Panel(
            title="How long they took to come up",
            text="Import, tokenizer, engine.",
            unit="s",
            look=Look.TABLE,
            queries=(Query(expr=select(engine.MODEL_LOAD, OF_DEPLOYMENT), legend="{{replica}} {{phase}}"),),
        ),
        Panel(
            title="CPU",
            text="Cores that the worker's own process uses; an engine's children are not in it.",
            unit=CORES,
            queries=(Query(expr=_CPU, legend="{{replica}}"),),
        ),
        Panel(
            title="Memory",
            text="Of the worker's own process.",
            unit="bytes",
            queries=(Query(expr=_MEMORY, legend="{{replica}}"),),
        ),
        Panel(
            title="Engines",
            text="What stands behind each worker; `simulated` is never a measurement.",
            look=Look.TABLE,
            width=24,
            queries=(Query(expr=select(engine.RUNTIME_INFO, OF_DEPLOYMENT), legend="{{replica}}"),),
        ),
    ),
)

RUNTIME = Board(
    uid="tokenforge-runtime",
    title="TokenForge / Runtime",
    text="What engines do: batches, KV cache, prefix hits, preemptions; one runtime against another.",
    variables=(DEPLOYMENT,),
    rows=(_BATCH, _CACHE, _AGAINST, _WORKER),
)
