"""Alerts on what users feel and on what makes them feel it soon; each says in its runbook what to do."""

from tokenforge.telemetry.boards.alert_model import Alert, Example, Severity
from tokenforge.telemetry.boards.machine_alerts import MACHINE_ALERTS
from tokenforge.telemetry.boards.promql import grown, select, total
from tokenforge.telemetry.boards.rules import ERROR_RATIO, TTFT_P99
from tokenforge.telemetry.catalogue import engine, platform, serving

_READY = 'state="ready"'
_TINY = {"deployment": "tiny"}
_LOG = "`tokenforge logs NAME` shows the last lines of a deployment's workers."

_USERS = (
    Alert(
        name="TokenForgeErrors",
        expr=ERROR_RATIO,
        test="> 0.05",
        lasts="5m",
        severity=Severity.PAGE,
        summary="Deployment {{ $labels.deployment }} fails more than 5 % of its requests",
        means="Workers answer with errors that are not the clients' own fault. Faulty requests, unknown models and "
        "clients that leave are not counted.",
        look=("Serving, row *Errors by cause*: which code, at workers or at the gateway.", _LOG),
        act=(
            "`engine_dead`: the worker is replaced by itself; see TokenForgeWorkersFail if it does not end.",
            "`overloaded`: more replicas, or a lower rate.",
            "`engine_error`: the log names the cause; a rollout that began just before is to be taken back.",
        ),
        fires=Example(
            series={
                'tokenforge_requests_total{deployment="tiny",outcome="ok"}': "0+90x20",
                'tokenforge_requests_total{deployment="tiny",outcome="engine_error"}': "0+10x20",
            },
            labels=_TINY,
        ),
        calm={
            'tokenforge_requests_total{deployment="tiny",outcome="ok"}': "0+99x20",
            'tokenforge_requests_total{deployment="tiny",outcome="engine_error"}': "0+1x20",
            'tokenforge_requests_total{deployment="tiny",outcome="cancelled"}': "0+50x20",
        },
    ),
    Alert(
        name="TokenForgeSlowFirstToken",
        expr=TTFT_P99,
        test="> 10",
        lasts="10m",
        severity=Severity.TICKET,
        summary="Of 100 requests to {{ $labels.deployment }} one waits over 10 s for its first token",
        means="Requests wait in the queue, or prompts take long. What is too long is yours to say: change the limit.",
        look=("Serving, *Where the time goes*: `queue` or `prefill`.", "Runtime, *Running and waiting*."),
        act=("`queue`: more replicas.", "`prefill`: shorter prompts, a prefix cache, or smaller prefill chunks."),
        fires=Example(
            series={
                'tokenforge_request_time_to_first_token_seconds_bucket{deployment="tiny",le="10"}': "0+90x40",
                'tokenforge_request_time_to_first_token_seconds_bucket{deployment="tiny",le="100"}': "0+100x40",
                'tokenforge_request_time_to_first_token_seconds_bucket{deployment="tiny",le="+Inf"}': "0+100x40",
            },
            labels=_TINY,
        ),
        calm={
            'tokenforge_request_time_to_first_token_seconds_bucket{deployment="tiny",le="1"}': "0+100x40",
            'tokenforge_request_time_to_first_token_seconds_bucket{deployment="tiny",le="+Inf"}': "0+100x40",
        },
    ),
    Alert(
        name="TokenForgeWorkersFull",
        expr=f"{total(serving.INSIDE, by=('deployment',))} / {total(serving.CAPACITY, by=('deployment',))}",
        test="> 0.9",
        lasts="2m",
        severity=Severity.PAGE,
        summary="The workers of {{ $labels.deployment }} are full; more requests are turned away",
        means="Nearly as many requests are inside as may be. One more than that is answered 429.",
        look=("Serving, row *Queue and admission*.", "Serving, *Requests a second*: did the load grow?"),
        act=("More replicas.", "Limits for the keys that send most: `tokenforge keys`."),
        fires=Example(
            series={
                'tokenforge_admission_requests{deployment="tiny"}': "95x10",
                'tokenforge_admission_capacity_requests{deployment="tiny"}': "100x10",
            },
            labels=_TINY,
        ),
        calm={
            'tokenforge_admission_requests{deployment="tiny"}': "80x10",
            'tokenforge_admission_capacity_requests{deployment="tiny"}': "100x10",
        },
    ),
    Alert(
        name="TokenForgeQueueStands",
        expr=f"{total(engine.WAITING, by=('deployment',))} - {total(engine.RUNNING, by=('deployment',))}",
        test="> 0",
        lasts="10m",
        severity=Severity.TICKET,
        summary="More requests wait for {{ $labels.deployment }} than it computes",
        means="For ten minutes the queue was longer than the batch: the load is above what the replicas hold.",
        look=("Runtime, *Running and waiting* and *In use* of the KV cache.",),
        act=("More replicas.", "`tokenforge plan` says how many a load needs."),
        fires=Example(
            series={
                'tokenforge_requests_waiting{deployment="tiny"}': "30x20",
                'tokenforge_requests_running{deployment="tiny"}': "16x20",
            },
            labels=_TINY,
        ),
        calm={
            'tokenforge_requests_waiting{deployment="tiny"}': "10x20",
            'tokenforge_requests_running{deployment="tiny"}': "16x20",
        },
    ),
)

_FLEET = (
    Alert(
        name="TokenForgeReplicasMissing",
        expr=f"{select(platform.DEPLOYMENT_WANTED)} - on (deployment) "
        f"{total(platform.DEPLOYMENT_REPLICAS, by=('deployment',), where=_READY)}",
        test="> 0",
        lasts="15m",
        severity=Severity.PAGE,
        summary="Deployment {{ $labels.deployment }} has fewer replicas that serve than it should",
        means="Workers do not come up, or die as they do. A large model may take minutes, not a quarter of an hour.",
        look=(
            "Fleet, *Conditions*: the reason.",
            "`tokenforge deployments`: the cause and its last words.",
        ),
        act=(
            "`NotEnoughMemory`, `OutOfMemory`: a smaller `max_model_len`, a quantisation, or a larger machine.",
            "`EnvironmentFailed`, `ModelNotFound`: the message names what could not be had.",
        ),
        fires=Example(
            series={
                'tokenforge_deployment_wanted_replicas{deployment="tiny"}': "2x30",
                'tokenforge_deployment_replicas{deployment="tiny",state="ready"}': "1x30",
            },
            labels=_TINY,
        ),
        calm={
            'tokenforge_deployment_wanted_replicas{deployment="tiny"}': "2x30",
            'tokenforge_deployment_replicas{deployment="tiny",state="ready"}': "2x30",
        },
    ),
    Alert(
        name="TokenForgeWorkersFail",
        expr=grown(platform.WORKERS_FAILED, by=("reason",), window="15m"),
        test="> 2",
        lasts="1m",
        severity=Severity.PAGE,
        summary="Workers keep failing: {{ $labels.reason }}",
        means="Three or more workers failed within a quarter of an hour for the same reason.",
        look=("Fleet, *Workers that failed* and *Failures in a row*.", _LOG),
        act=(
            "Take back the last change of the deployment that fails.",
            "`WorkerDied` with SIGKILL: the machine's memory; see the system's own log.",
        ),
        fires=Example(
            series={'tokenforge_workers_failed_total{process="control",reason="EngineDied"}': "0+1x20"},
            labels={"reason": "EngineDied"},
        ),
        calm={'tokenforge_workers_failed_total{process="control",reason="EngineDied"}': "0 1+0x20"},
    ),
    Alert(
        name="TokenForgeNobodyLeads",
        expr=total(platform.LEADING),
        test="!= 1",
        lasts="2m",
        severity=Severity.PAGE,
        summary="No control process leads, or more than one",
        means="Without control nothing is repaired and nothing new is deployed; what serves goes on serving.",
        look=("Fleet, *Who leads*.", "The log of control: `platform/control.log` in the home."),
        act=("Start control again; the state is in the store.", "A store that does not answer stops it: see its log."),
        fires=Example(series={'tokenforge_control_leading{process="control"}': "0x10"}),
        calm={'tokenforge_control_leading{process="control"}': "1x10"},
    ),
    Alert(
        name="TokenForgeReconcileFails",
        expr=f"({grown(platform.RECONCILE_ERRORS, by=('code',), window='10m')}) or vector(0)",
        test="> 5",
        lasts="1m",
        severity=Severity.TICKET,
        summary="Control's turns fail: {{ $labels.code }}",
        means="Control looks, and cannot act: the store or the cluster refuses.",
        look=("Fleet, *Control's turns a second*.", "The log of control names the error."),
        act=(
            "`store_unavailable`: is the database up, is its disk full?",
            "`lease_lost` often: two processes, one owner?",
        ),
        fires=Example(
            series={'tokenforge_reconcile_errors_total{process="control",code="store_failed"}': "0+2x15"},
            labels={"code": "store_failed"},
        ),
        calm={'tokenforge_reconcile_errors_total{process="control",code="store_failed"}': "0 1+0x15"},
    ),
)

ALERTS: tuple[Alert, ...] = (*_USERS, *_FLEET, *MACHINE_ALERTS)
