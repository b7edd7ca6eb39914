"""What differs between two runs, in three sorts: what was measured, on which hardware, and with which software.

Numbers of two runs can be compared when the first is equal; hardware must be equal too unless the user says otherwise;
software (an engine's version, its arguments, packages) is what a comparison is often about, so it is only named. What
one of the two records does not say is not called a difference.
"""

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tokenforge.analysis.document import Plain, mapping, mappings, number, text

_GIB = 2**30
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLANNED_FROM_FILES = {"trace", "dataset"}


class Sort(enum.StrEnum):
    """What a difference means: another thing was measured, on another machine, or with other software."""

    MEASURED = "measured"
    HARDWARE = "hardware"
    SOFTWARE = "software"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is not equal, with both values as text."""

    sort: Sort
    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.field}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A run in its record: the whole document, and its entry in `runs`."""

    document: Plain
    entry: Plain

    @property
    def workload(self) -> Plain:
        """The workload as asked; files it was planned from are left to the plans' digests."""
        name = text(self.entry, "workload")
        workloads = mappings(mapping(self.document, "benchmark"), "workloads")
        found = next((one for one in workloads if text(one, "name") == name), {})
        return {key: value for key, value in found.items() if key not in _PLANNED_FROM_FILES}

    @property
    def plans(self) -> Plain:
        """Plan digests by trial."""
        return {str(one.get("trial")): one.get("plan_digest") for one in mappings(self.entry, "trials")}

    @property
    def model_files(self) -> Plain:
        """SHA-256 of the model's files by name."""
        models = mappings(mapping(self.document, "environment"), "models")
        name = text(self.entry, "model")
        return next((mapping(one, "hashes") for one in models if text(one, "model") == name), {})

    @property
    def engine_args(self) -> Plain:
        """The arguments that the runtime was given."""
        name = (text(self.entry, "runtime") or "").partition("@")[0]
        return mapping(mapping(mapping(self.document, "benchmark"), "engine_args"), name)


def differences(before: Recorded, after: Recorded) -> tuple[Difference, ...]:
    """All differences of two runs of one subject."""
    endpoints = [_said({"endpoint": side.document.get("endpoint")}) for side in (before, after)]
    return (
        *_fields(endpoints[0], endpoints[1], sort=Sort.MEASURED),
        *_fields(before.workload, after.workload, sort=Sort.MEASURED, prefix="workload."),
        *_fields(before.model_files, after.model_files, sort=Sort.MEASURED, prefix="model file "),
        *_fields(before.plans, after.plans, sort=Sort.MEASURED, prefix="plan of trial "),
        *hardware_differences(before.document, after.document),
        *_software(before, after),
    )


def hardware_differences(before: Plain, after: Plain) -> tuple[Difference, ...]:
    """What differs of two machines, given as records (or anything with an `environment`)."""
    return tuple(_fields(_hardware(before), _hardware(after), sort=Sort.HARDWARE))


def _hardware(document: Plain) -> Mapping[str, object]:
    """The parts of a machine that decide its speed, by name."""
    environment = mapping(document, "environment")
    machine, limits = mapping(environment, "machine"), mapping(environment, "limits")
    memory = number(machine, "memory_bytes")
    return _said(
        {
            "architecture": machine.get("architecture"),
            "CPU model": machine.get("cpu_model"),
            "CPU threads": machine.get("cpu_threads"),
            "memory": None if memory is None else f"{memory / _GIB:.0f} GiB",
            "CPU limit": limits.get("cpu"),
            "GPUs": _gpus(mappings(environment, "gpus")) if "gpus" in environment else None,
        }
    )


def _gpus(gpus: Sequence[Plain]) -> str:
    return ", ".join(f"{text(gpu, 'name')} at {text(gpu, 'power.limit')}" for gpu in gpus) or "none"


def _software(before: Recorded, after: Recorded) -> Iterator[Difference]:
    yield from _fields(_software_of(before), _software_of(after), sort=Sort.SOFTWARE)
    name = (text(after.entry, "runtime") or "").partition("@")[0]
    prefix = f"engine_args.{name}."
    yield from _fields(before.engine_args, after.engine_args, sort=Sort.SOFTWARE, prefix=prefix, whole=True)
    packages = [mapping(mapping(side.entry, "engine"), "packages") for side in (before, after)]
    if all(packages):
        yield from _fields(packages[0], packages[1], sort=Sort.SOFTWARE, prefix="package ", whole=True)


def _software_of(run: Recorded) -> Plain:
    engine, benchmark = mapping(run.entry, "engine"), mapping(run.document, "benchmark")
    environment = mapping(run.document, "environment")
    tool, gpus = mapping(run.document, "tool"), mappings(environment, "gpus")
    beside = [one for one in mappings(run.document, "runs") if one.get("workload") == run.entry.get("workload")]
    said = _said(
        {
            "engine version": engine.get("engine_version"),
            "engine package": engine.get("package"),
            "operating system": mapping(environment, "machine").get("system"),
            "GPU driver": text(gpus[0], "driver_version") if gpus else None,
            "tool version": tool.get("version"),
            "tool commit": tool.get("git"),
            "runs of the workload in the benchmark": len(beside),
        }
    )
    return {**said, **{name: benchmark[name] for name in ("quant", "max_model_len", "order") if name in benchmark}}


def _said(fields: Plain) -> Plain:
    return {name: value for name, value in fields.items() if value is not None}


def _fields(before: Plain, after: Plain, *, sort: Sort, prefix: str = "", whole: bool = False) -> Iterator[Difference]:
    """Keys whose values differ. `whole`: both sides say all they have, so a key that one lacks counts too."""
    for key in dict.fromkeys((*before, *after)):
        is_said = whole or (key in before and key in after)
        if is_said and before.get(key) != after.get(key):
            yield Difference(sort=sort, field=f"{prefix}{key}", before=_shown(before, key), after=_shown(after, key))


def _shown(fields: Plain, key: str) -> str:
    value = fields.get(key)
    shown = "none" if value is None else str(value)
    if _DIGEST.fullmatch(shown):
        return shown[:12]
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
