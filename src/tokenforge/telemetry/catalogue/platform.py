"""Metrics of the gateway and of control."""

from tokenforge.domain.deployment_state import Phase, ReplicaPhase
from tokenforge.telemetry.catalogue.definition import DURATION_BUCKETS, Kind, Label, Metric, Process
from tokenforge.telemetry.catalogue.serving import OUTCOME

_GATEWAY, _CONTROL = (Process.GATEWAY,), (Process.CONTROL,)
_PATH = Label(
    name="path",
    text="the route",
    values=("/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/infer"),
)
_DEPLOYMENT = Label(name="deployment", text="its name; one that is deleted leaves the page", most=1000)

HTTP_REQUESTS = Metric(
    name="http_requests_total",
    text="Requests of the data plane answered by the gateway.",
    kind=Kind.COUNTER,
    processes=_GATEWAY,
    labels=(_PATH, OUTCOME),
)
HTTP_DURATION = Metric(
    name="http_request_duration_seconds",
    text="From a request's arrival at the gateway to its last byte.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_GATEWAY,
    labels=(_PATH,),
    buckets=DURATION_BUCKETS,
)
HTTP_RETRIES = Metric(
    name="http_retries_total",
    text="Requests brought to another replica, after one that did not answer well.",
    kind=Kind.COUNTER,
    processes=_GATEWAY,
    labels=(_PATH,),
)
HTTP_TOKENS = Metric(
    name="http_usage_tokens_total",
    text="Tokens that were delivered: as the engine counted them, or the events of a stream that was cut.",
    kind=Kind.COUNTER,
    processes=_GATEWAY,
    labels=(
        Label(name="kind", text="which tokens", values=("prompt", "completion")),
        Label(name="source", text="who counted: the engine, or the gateway its events", values=("engine", "events")),
    ),
)

LEADING = Metric(
    name="control_leading",
    text="1 while this control process holds the lease; only who leads tells of deployments.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
)
RECONCILE_DURATION = Metric(
    name="reconcile_duration_seconds",
    text="One look at all deployments and what follows from it.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_CONTROL,
    buckets=DURATION_BUCKETS,
)
RECONCILE_ERRORS = Metric(
    name="reconcile_errors_total",
    text="Looks that failed; the next one tries again.",
    kind=Kind.COUNTER,
    processes=_CONTROL,
    labels=(Label(name="code", text="the error's code", most=40),),
)
DEPLOYMENT_INFO = Metric(
    name="deployment_info",
    text="1: what a deployment serves. `id` is that in URLs.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
    labels=(
        _DEPLOYMENT,
        Label(name="id", text="its id", most=1000),
        Label(name="model", text="the model asked for", most=1000),
        Label(name="runtime", text="the runtime asked for", most=1000),
    ),
)
DEPLOYMENT_PHASE = Metric(
    name="deployment_phase",
    text="1 for the phase that the deployment is in, 0 for the others.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
    labels=(_DEPLOYMENT, Label(name="phase", text="its life in one word", values=tuple(p.value for p in Phase))),
)
DEPLOYMENT_WANTED = Metric(
    name="deployment_wanted_replicas",
    text="Replicas asked for.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
    labels=(_DEPLOYMENT,),
)
DEPLOYMENT_REPLICAS = Metric(
    name="deployment_replicas",
    text="Replicas that are there, by state.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
    labels=(_DEPLOYMENT, Label(name="state", text="where it stands", values=tuple(p.value for p in ReplicaPhase))),
)
DEPLOYMENT_CONDITION = Metric(
    name="deployment_condition",
    text="1 where the condition is true, 0 where it is not.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
    labels=(
        _DEPLOYMENT,
        Label(name="condition", text="which", values=("Prepared", "Ready", "Healthy")),
        Label(name="reason", text="the one word that the condition gives", most=40),
    ),
)
DEPLOYMENT_GENERATION = Metric(
    name="deployment_generation",
    text="How often the spec was set; it grows with each rollout.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
    labels=(_DEPLOYMENT,),
)
DEPLOYMENT_FAILURES = Metric(
    name="deployment_failures",
    text="Starts that failed in a row.",
    kind=Kind.GAUGE,
    processes=_CONTROL,
    labels=(_DEPLOYMENT,),
)
WORKERS_STARTED = Metric(name="workers_started_total", text="Workers launched.", kind=Kind.COUNTER, processes=_CONTROL)
WORKERS_FAILED = Metric(
    name="workers_failed_total",
    text="Workers that died unasked, and preparations that failed, by cause.",
    kind=Kind.COUNTER,
    processes=_CONTROL,
    labels=(Label(name="reason", text="the one word that the condition gives", most=40),),
)
ROLLOUTS = Metric(
    name="rollouts_total",
    text="Changed specs whose replicas all serve, none of an older spec being left.",
    kind=Kind.COUNTER,
    processes=_CONTROL,
)

GATEWAY = (HTTP_REQUESTS, HTTP_DURATION, HTTP_RETRIES, HTTP_TOKENS)
CONTROL = (
    LEADING, RECONCILE_DURATION, RECONCILE_ERRORS, DEPLOYMENT_INFO, DEPLOYMENT_PHASE, DEPLOYMENT_WANTED,
    DEPLOYMENT_REPLICAS, DEPLOYMENT_CONDITION, DEPLOYMENT_GENERATION, DEPLOYMENT_FAILURES, WORKERS_STARTED,
    WORKERS_FAILED, ROLLOUTS,
)  # fmt: skip
