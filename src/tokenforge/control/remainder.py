"""What is left of a queued benchmark: its body without what belongs to cancelled runs alone. Pure."""

from collections.abc import Mapping

from tokenforge.domain.queued import QueuedBenchmark
from tokenforge.domain.run import RunStatus
from tokenforge.protocol.withdrawn import RunName


def remainder(queued: QueuedBenchmark) -> dict[str, object]:
    """The body to run: without `keep`, and without models, runtimes and workloads of which every run is cancelled.

    A runtime that nobody wants to see measured is not started, so one that does not come up can be cancelled.
    """
    wanted = [run for run in queued.runs if run.status is not RunStatus.CANCELLED]
    runtimes = {run.runtime for run in wanted}
    body = {name: value for name, value in queued.body.items() if name != "keep"}
    body["runtimes"] = [one for one in _list(body.get("runtimes")) if str(one) in runtimes]
    if "models" in body:
        body["models"] = [one for one in _list(body["models"]) if str(one) in {run.model for run in wanted}]
    workloads = {run.workload for run in wanted}
    body["workloads"] = [
        one for one in _list(body.get("workloads")) if isinstance(one, Mapping) and one.get("name") in workloads
    ]
    names = {runtime.partition("@")[0] for runtime in runtimes}
    args = body.get("engine_args")
    if isinstance(args, Mapping):
        body["engine_args"] = {name: value for name, value in args.items() if name in names}
    return body


def withdrawn(queued: QueuedBenchmark) -> list[RunName]:
    """The runs that are cancelled."""
    return [
        RunName(model=run.model, runtime=run.runtime, workload=run.workload)
        for run in queued.runs
        if run.status is RunStatus.CANCELLED
    ]


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
