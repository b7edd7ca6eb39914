"""Which loads of a finished benchmark to calibrate for: one per workload, the heaviest first."""

from collections.abc import Sequence
from dataclasses import replace

from tokenforge.bench.calibration.calibrate import Subject
from tokenforge.bench.calibration.load import Load, hardest, observed_load
from tokenforge.bench.driver.job import Endpoint
from tokenforge.bench.run_log import RunLog
from tokenforge.domain.workload import Arrival

_SAMPLE = 200


def subjects_of(logs: Sequence[RunLog], *, endpoint: Endpoint) -> tuple[Subject, ...]:
    """One subject per workload of the logs, over all runtimes and models that served it."""
    groups: dict[str, list[RunLog]] = {}
    for log in logs:
        groups.setdefault(log.workload.name, []).append(log)
    subjects = [_subject(name, group, endpoint=endpoint) for name, group in groups.items()]
    return tuple(sorted(subjects, key=_weight, reverse=True))


def _subject(name: str, logs: Sequence[RunLog], *, endpoint: Endpoint) -> Subject:
    closed = logs[0].workload.arrival is Arrival.CONCURRENCY
    concurrency = logs[0].workload.concurrency if closed else None
    loads = (_observed(log, concurrency=concurrency) for log in logs)
    return Subject(
        workload=name,
        load=hardest(load for load in loads if load is not None),
        endpoint=endpoint,
        continuous_usage=any(log.target.continuous_usage for log in logs),
        processes=max((trial.driver.processes for log in logs for trial in log.trials), default=1),
    )


def _observed(log: RunLog, *, concurrency: int | None) -> Load | None:
    """The pace of some answers of each trial, and all arrivals of the first trial that has an answer."""
    samples = [trial.sample(_SAMPLE) for trial in log.recorded]
    load = observed_load([record for sample in samples for record in sample], concurrency=concurrency)
    if load is None or concurrency is not None:
        return load
    first = next(trial for trial, sample in zip(log.recorded, samples, strict=True) if sample)
    return replace(load, at_ns=tuple(sorted(first.scheduled_ns().tolist())))


def _weight(subject: Subject) -> float:
    """Chunks per second, roughly."""
    load = subject.load
    if load is None:
        return 0.0
    if load.concurrency is not None:
        return load.concurrency * load.chunks / max(1e-4, load.ttft_s + load.chunks * load.itl_s)
    span_s = max(1.0, (load.at_ns[-1] - load.at_ns[0]) / 1e9) if load.at_ns else 1.0
    return len(load.at_ns) * load.chunks / span_s
