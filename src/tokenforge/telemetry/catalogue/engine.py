"""Metrics of the engine in a worker, read from it when the page is asked for; and of the worker itself.

What an engine does not tell is absent: `runtimes` says who tells.
"""

from tokenforge.protocol.worker_spec import WorkerPhase
from tokenforge.telemetry.catalogue.definition import Kind, Label, Metric, Process

_WORKER = (Process.WORKER,)
_EVERY = (Process.GATEWAY, Process.WORKER, Process.CONTROL, Process.BENCH)

RUNNING = Metric(
    name="requests_running", text="Sequences that the engine computes now.", kind=Kind.GAUGE, processes=_WORKER
)
WAITING = Metric(
    name="requests_waiting", text="Requests that wait for a place in the engine.", kind=Kind.GAUGE, processes=_WORKER
)
KV_USAGE = Metric(
    name="kv_cache_usage_ratio",
    text="Share of the KV cache in use, 0 to 1.",
    kind=Kind.GAUGE,
    unit="ratio",
    processes=_WORKER,
    runtimes=("sim", "transformers", "vllm"),
)
KV_CAPACITY = Metric(
    name="kv_cache_capacity_tokens",
    text="Tokens that the KV cache can hold.",
    kind=Kind.GAUGE,
    unit="tokens",
    processes=_WORKER,
    runtimes=("sim", "transformers", "vllm"),
)
PREFIX_QUERIES = Metric(
    name="prefix_cache_queries_tokens_total",
    text="Prompt tokens looked up in the prefix cache.",
    kind=Kind.COUNTER,
    unit="tokens",
    processes=_WORKER,
    runtimes=("vllm",),
)
PREFIX_HITS = Metric(
    name="prefix_cache_hits_tokens_total",
    text="Prompt tokens found in the prefix cache.",
    kind=Kind.COUNTER,
    unit="tokens",
    processes=_WORKER,
    runtimes=("vllm",),
)
PREEMPTIONS = Metric(
    name="preemptions_total",
    text="Sequences put out of the KV cache, to be computed again.",
    kind=Kind.COUNTER,
    processes=_WORKER,
    runtimes=("sim", "vllm"),
)
BATCH_TOKENS = Metric(
    name="batch_tokens",
    text="Tokens computed in a step of the engine, prompt and answer together: their sum, and the count of steps.",
    kind=Kind.SUMMARY,
    unit="tokens",
    processes=_WORKER,
    runtimes=("sim", "transformers", "vllm"),
)
MODEL_LOAD = Metric(
    name="model_load_seconds",
    text="How long this worker took to come up.",
    kind=Kind.GAUGE,
    unit="seconds",
    processes=_WORKER,
    labels=(
        Label(
            name="phase",
            text="`import` (the runtime's code), `tokenizer`, `engine` (weights, memory, compiling)",
            values=("import", "tokenizer", "engine"),
        ),
    ),
)
WORKER_STATE = Metric(
    name="worker_state",
    text="1 for the state that the worker is in, 0 for the others.",
    kind=Kind.GAUGE,
    processes=_WORKER,
    labels=(Label(name="state", text="its life", values=tuple(phase.value for phase in WorkerPhase)),),
)
RUNTIME_INFO = Metric(
    name="runtime_info",
    text="1: the engine behind this worker. `simulated` keeps the simulator apart from engines.",
    kind=Kind.GAUGE,
    processes=_WORKER,
    labels=(
        Label(name="runtime", text="the runtime's name", most=1),
        Label(name="engine", text="what computes", most=1),
        Label(name="engine_version", text="its version", most=1),
        Label(name="model", text="what clients call the model", most=1),
        Label(name="simulated", text="`true` for the simulator alone", values=("true", "false")),
    ),
)
BUILD_INFO = Metric(
    name="build_info",
    text="1: the TokenForge that answers.",
    kind=Kind.GAUGE,
    processes=_EVERY,
    labels=(Label(name="version", text="its version", most=1),),
)
EVENT_LOOP_TASKS = Metric(
    name="event_loop_tasks",
    text="Tasks of its event loop that have not ended.",
    kind=Kind.GAUGE,
    processes=_EVERY,
)

ENGINE = (
    RUNNING, WAITING, KV_USAGE, KV_CAPACITY, PREFIX_QUERIES, PREFIX_HITS, PREEMPTIONS, BATCH_TOKENS, MODEL_LOAD,
    WORKER_STATE, RUNTIME_INFO, BUILD_INFO, EVENT_LOOP_TASKS,
)  # fmt: skip
