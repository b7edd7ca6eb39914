"""The Fleet dashboard: deployments, their conditions and rollouts, and the platform's own processes."""

from tokenforge.telemetry.boards.model import CORES, Board, Look, Panel, Query, Row
from tokenforge.telemetry.boards.promql import WINDOW, grown, quantile, rate, select, total
from tokenforge.telemetry.catalogue import engine, platform

_DEPLOYMENTS = Row(
    title="Deployments",
    panels=(
        Panel(
            title="Wanted and ready",
            text="Replicas.",
            width=12,
            queries=(
                Query(expr=select(platform.DEPLOYMENT_WANTED), legend="{{deployment}} wanted"),
                Query(expr=select(platform.DEPLOYMENT_REPLICAS, 'state="ready"'), legend="{{deployment}} ready"),
            ),
        ),
        Panel(
            title="Replicas by state",
            text="All deployments together.",
            stacked=True,
            width=12,
            queries=(Query(expr=total(platform.DEPLOYMENT_REPLICAS, by=("state",)), legend="{{state}}"),),
        ),
        Panel(
            title="Phase",
            text="Each deployment's life in one word.",
            look=Look.TABLE,
            width=8,
            queries=(Query(expr=f"{select(platform.DEPLOYMENT_PHASE)} == 1", legend="{{deployment}} {{phase}}"),),
        ),
        Panel(
            title="Conditions",
            text="1 is true; the reason says why it is not.",
            look=Look.TABLE,
            width=8,
            queries=(
                Query(expr=select(platform.DEPLOYMENT_CONDITION), legend="{{deployment}} {{condition}} {{reason}}"),
            ),
        ),
        Panel(
            title="What they serve",
            text="Model and runtime as asked for.",
            look=Look.TABLE,
            width=8,
            queries=(Query(expr=select(platform.DEPLOYMENT_INFO), legend="{{deployment}}"),),
        ),
    ),
)

_ROLLOUTS = Row(
    title="Rollouts and failures",
    panels=(
        Panel(
            title="Rollouts in the last hour",
            text="Changed specs that came to serve.",
            look=Look.NUMBER,
            queries=(Query(expr=grown(platform.ROLLOUTS), legend="rollouts"),),
        ),
        Panel(
            title="Generation",
            text="A step is a change of the spec.",
            queries=(Query(expr=select(platform.DEPLOYMENT_GENERATION), legend="{{deployment}}"),),
        ),
        Panel(
            title="Failures in a row",
            text="Starts of workers that failed; the next try waits longer each time.",
            steps=((1.0, "orange"), (3.0, "red")),
            queries=(Query(expr=select(platform.DEPLOYMENT_FAILURES), legend="{{deployment}}"),),
        ),
        Panel(
            title="Workers launched in the last hour",
            text="Also those that replace one that died.",
            look=Look.NUMBER,
            queries=(Query(expr=grown(platform.WORKERS_STARTED), legend="launched"),),
        ),
        Panel(
            title="Workers that failed in the last hour",
            text="By cause.",
            steps=((1.0, "orange"), (3.0, "red")),
            queries=(Query(expr=grown(platform.WORKERS_FAILED, by=("reason",)), legend="{{reason}}"),),
        ),
        Panel(
            title="Workers by state",
            text="What they say of themselves.",
            stacked=True,
            queries=(Query(expr=total(engine.WORKER_STATE, by=("state",)), legend="{{state}}"),),
        ),
    ),
)

_PLATFORM = Row(
    title="The platform itself",
    panels=(
        Panel(
            title="Control's turns, p99",
            text="One look at everything and what follows.",
            unit="s",
            queries=(Query(expr=quantile(0.99, platform.RECONCILE_DURATION), legend="p99"),),
        ),
        Panel(
            title="Control's turns a second",
            text="And those that failed; none ever failed where the second is 0.",
            unit="ops",
            queries=(
                Query(expr=rate(platform.RECONCILE_DURATION, suffix="_count"), legend="turns"),
                Query(expr=f"({rate(platform.RECONCILE_ERRORS)}) or vector(0)", legend="failed"),
            ),
        ),
        Panel(
            title="Who leads",
            text="Exactly one control process.",
            look=Look.NUMBER,
            steps=((1.0, "green"), (2.0, "red")),
            base="red",
            queries=(Query(expr=total(platform.LEADING), legend="leading"),),
        ),
        Panel(
            title="Pages that answer",
            text="1 for each that was read.",
            queries=(Query(expr="sum by (process) (up)", legend="{{process}}"),),
        ),
        Panel(
            title="CPU",
            text="Cores, by process.",
            unit=CORES,
            queries=(
                Query(expr=f"sum by (process) (rate(process_cpu_seconds_total[{WINDOW}]))", legend="{{process}}"),
            ),
        ),
        Panel(
            title="Tasks on the event loop",
            text="Growing without end is a leak.",
            queries=(Query(expr=total(engine.EVENT_LOOP_TASKS, by=("process",)), legend="{{process}}"),),
        ),
        Panel(
            title="Memory",
            text="By process.",
            unit="bytes",
            queries=(Query(expr="sum by (process) (process_resident_memory_bytes)", legend="{{process}}"),),
        ),
    ),
)

FLEET = Board(
    uid="tokenforge-fleet",
    title="TokenForge / Fleet",
    text="Deployments, conditions, rollouts; control, gateway and load generators themselves.",
    rows=(_DEPLOYMENTS, _ROLLOUTS, _PLATFORM),
)
