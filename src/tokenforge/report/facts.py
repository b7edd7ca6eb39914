"""The circumstances of a record as labelled lines: what was offered, on what it ran, how to do it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenforge.analysis.plain import Plain, mapping, mappings, number, sentences, text
from tokenforge.report.numbers import number_text

_HIDDEN_KEYS = frozenset({"capabilities", "packages", "details", "model", "simulated", "token_level"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One labelled line."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Facts under a heading."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A trial at its place in the order of the whole benchmark."""

    position: int
    workload: str
    runtime: str
    trial: str
    started_at: str
    duration: str
    requests: str
    lag_p99: str
    cpu: str
    plan: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that did not succeed."""

    run: str
    status: str
    cause: str
    last_words: tuple[str, ...]


def workload_groups(document: Plain) -> tuple[Group, ...]:
    """Every workload with all keys that were set."""
    return tuple(
        Group(
            title=text(workload, "name") or "workload",
            facts=tuple(
                Fact(label=key, value=value_text(value))
                for key, value in workload.items()
                if key != "name" and value not in (None, "", [], {})
            ),
        )
        for workload in mappings(mapping(document, "benchmark"), "workloads")
    )


def trial_rows(document: Plain) -> tuple[TrialRow, ...]:
    """All trials in the order they ran."""
    rows = [_trial_row(run, trial) for run in mappings(document, "runs") for trial in mappings(run, "trials")]
    return tuple(sorted(rows, key=lambda row: (row.position, row.runtime, row.workload)))


def failures(document: Plain) -> tuple[Failure, ...]:
    """Runs that ended otherwise than well, with their cause."""
    return tuple(
        Failure(
            run=f"{text(run, 'runtime')} on {text(run, 'workload')}",
            status=text(run, "status") or "",
            cause=text(run, "cause") or "no cause was recorded",
            last_words=tuple(sentences(run, "last_words")),
        )
        for run in mappings(document, "runs")
        if text(run, "status") != "succeeded"
    )


def engine_groups(document: Plain) -> tuple[Group, ...]:
    """One group per runtime: version, package, limits, details, packages of its environment."""
    groups: dict[str, Group] = {}
    for run in mappings(document, "runs"):
        name = text(run, "runtime") or ""
        if name not in groups:
            groups[name] = Group(title=name, facts=tuple(_engine_facts(run)))
    return tuple(groups.values())


def machine_groups(document: Plain) -> tuple[Group, ...]:
    """Machine, limits, load before and after, GPUs, models, packages, tool."""
    environment = mapping(document, "environment")
    groups = [
        Group(title="Machine", facts=_flat(mapping(environment, "machine"))),
        Group(title="Limits", facts=_flat(mapping(environment, "limits"))),
        Group(title="Load", facts=_flat(mapping(environment, "pressure"))),
        *(Group(title=f"GPU {n}", facts=_flat(gpu)) for n, gpu in enumerate(mappings(environment, "gpus"))),
        *(Group(title="Model", facts=_flat(model)) for model in mappings(environment, "models")),
        Group(title="Client packages", facts=_flat(mapping(environment, "packages"))),
        Group(title="Tool", facts=_flat(mapping(document, "tool"))),
    ]
    return tuple(group for group in groups if group.facts)


def value_text(value: object) -> str:
    """A JSON value in one line."""
    if isinstance(value, Mapping):
        if set(value) == {"value"}:
            return value_text(value["value"])
        return ", ".join(f"{key} {value_text(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(value_text(item) for item in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _engine_facts(run: Plain) -> Sequence[Fact]:
    engine = mapping(run, "engine")
    start_s = number(run, "start_s")
    facts = [Fact(label="URL", value=text(run, "target_url") or "–")]
    if start_s is not None:
        facts.append(Fact(label="start", value=f"{start_s:.1f} s"))
    facts += [
        Fact(label=key, value=value_text(value))
        for key, value in engine.items()
        if key not in _HIDDEN_KEYS and value not in (None, "", {}, [])
    ]
    facts += _flat(mapping(engine, "details"))
    packages = mapping(engine, "packages")
    if packages:
        lines = ", ".join(f"{name} {value_text(packages[name])}" for name in sorted(packages))
        facts.append(Fact(label="packages", value=lines))
    return facts


def _flat(values: Plain) -> tuple[Fact, ...]:
    return tuple(
        Fact(label=key, value=_bytes_text(value) if key.endswith("_bytes") else value_text(value))
        for key, value in values.items()
        if value not in (None, "", {}, [])
    )


def _bytes_text(value: object) -> str:
    return f"{value / 2**30:.1f} GiB" if isinstance(value, int | float) else value_text(value)


def _trial_row(run: Plain, trial: Plain) -> TrialRow:
    driver = mapping(trial, "driver")
    cpu, duration = number(driver, "cpu_share"), number(trial, "duration_s")
    return TrialRow(
        position=int(number(trial, "position") or 0) + 1,
        workload=text(run, "workload") or "",
        runtime=text(run, "runtime") or "",
        trial=str(int(number(trial, "trial") or 0) + 1),
        started_at=text(trial, "started_at") or "",
        duration="–" if duration is None else f"{duration:.1f} s",
        requests=number_text(number(trial, "planned_requests")),
        lag_p99="–" if (lag := number(driver, "lag_p99_ms")) is None else f"{lag:.2f} ms",
        cpu="–" if cpu is None else f"{cpu:.0%}",
        plan=(text(trial, "plan_digest") or "")[:12],
        notes=tuple(sentences(trial, "notes")),
    )
