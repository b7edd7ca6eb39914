"""WorkerSpec, Announcement and RuntimeInfo as JSON: what a worker is told, and what it says of itself.

Strict both ways: a name that no field has, a missing field or a wrong type is a fault with its path, because a spec
that is half understood starts the wrong engine.
"""

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Mapping
from typing import TypeVar

from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.domain.worker import ReplicaSpec, WorkerSpec

T = TypeVar("T")


class WorkerPhase(enum.StrEnum):
    """Where a worker stands. `failed` is final; `draining` ends with the process."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


_STEPS: dict[WorkerPhase, frozenset[WorkerPhase]] = {
    WorkerPhase.STARTING: frozenset({WorkerPhase.LOADING, WorkerPhase.DRAINING, WorkerPhase.FAILED}),
    WorkerPhase.LOADING: frozenset({WorkerPhase.READY, WorkerPhase.DRAINING, WorkerPhase.FAILED}),
    WorkerPhase.READY: frozenset({WorkerPhase.DRAINING, WorkerPhase.FAILED}),
    WorkerPhase.DRAINING: frozenset({WorkerPhase.FAILED}),
}


def can_step(now: WorkerPhase, then: WorkerPhase) -> bool:
    """Whether a worker may go from `now` to `then`."""
    return then in _STEPS.get(now, frozenset())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One JSON line on the announce pipe: the port it listens on (0 before), and its phase.

    A failure tells its cause as one sentence, and the `code` of the error for programs. `info` comes with `ready`.
    """

    port: int
    phase: WorkerPhase
    cause: str | None = None
    code: str | None = None
    info: RuntimeInfo | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """What a worker's state file holds: which process it is (as its mark has it), and what it said last."""

    pid: int
    started_s: float
    said: Announcement
    boot: str = ""


def worker_state_to_json(state: WorkerState) -> bytes:
    """The state as one JSON object."""
    return json.dumps(to_plain(state)).encode()


def worker_state_from_json(text: bytes) -> WorkerState:
    """Read what `worker_state_to_json` wrote. Raises InvalidInput."""
    return _from_json(WorkerState, text, source="worker state")


def announcement_to_line(announcement: Announcement) -> bytes:
    """The announcement as one line."""
    return json.dumps(to_plain(announcement)).encode() + b"\n"


def announcement_from_line(line: bytes) -> Announcement:
    """Read what `announcement_to_line` wrote. Raises InvalidInput."""
    return _from_json(Announcement, line, source="announcement")


def worker_spec_to_json(spec: WorkerSpec) -> str:
    """The spec as one JSON object, without the headers of its traces: the worker has them from its environment."""
    observing = dataclasses.replace(spec.observing, trace_headers={})
    return json.dumps(to_plain(dataclasses.replace(spec, observing=observing)), indent=2, allow_nan=False)


def worker_spec_from_json(text: str | bytes) -> WorkerSpec:
    """Read what `worker_spec_to_json` wrote. Raises InvalidInput with every fault."""
    return _from_json(WorkerSpec, text, source="worker spec")


def replica_spec_to_json(spec: ReplicaSpec) -> str:
    """The spec as one JSON object on one line."""
    return json.dumps(to_plain(spec), allow_nan=False, sort_keys=True)


def replica_spec_from_json(text: str) -> ReplicaSpec:
    """Read what `replica_spec_to_json` wrote. Raises InvalidInput with every fault."""
    return _from_json(ReplicaSpec, text, source="replica spec")


def runtime_info_to_plain(info: RuntimeInfo) -> dict[str, object]:
    """The info as JSON values."""
    plain = to_plain(info)
    if not isinstance(plain, dict):
        raise TypeError(f"a RuntimeInfo is an object in JSON, not {type(plain).__name__}")
    return plain


def runtime_info_from_plain(value: object) -> RuntimeInfo:
    """Read what `runtime_info_to_plain` gave. Raises InvalidInput with every fault."""
    return read_record(RuntimeInfo, value, source="runtime info")


def read_record(kind: type[T], value: object, *, source: str) -> T:
    """Build the dataclass `kind` from JSON values. Raises InvalidInput with every fault, each with its path."""
    faults: list[Fault] = []
    record = _value(kind, value, path="", faults=faults)
    if faults or not isinstance(record, kind):
        raise InvalidInput(faults, source=source)
    return record


def _from_json(kind: type[T], text: str | bytes, *, source: str) -> T:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = str(text[:60])
        raise InvalidInput(
            [Fault(field=source, value=shown, message=f"is not JSON: {error}")], source=source
        ) from error
    return read_record(kind, value, source=source)


def _value(kind: object, value: object, *, path: str, faults: list[Fault]) -> object:
    """`value` as `kind`, or None and a fault. `kind`: scalars, enums, records, mappings, tuples, unions."""
    if isinstance(kind, types.UnionType):
        if value is None and types.NoneType in kind.__args__:
            return None
        return _value(_arm(kind, value), value, path=path, faults=faults)
    if typing.get_origin(kind) is tuple:
        return _items(kind, value, path=path, faults=faults)
    if typing.get_origin(kind) is not None:
        return _mapping(kind, value, path=path, faults=faults)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(kind, value, path=path, faults=faults)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(kind, value, path=path, faults=faults)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    faults.append(Fault(field=path, value=value, message=f"is not of type {name}"))
    return None


def _arm(kind: types.UnionType, value: object) -> object:
    """The arm that `value` is of: the record with just its names, where there are several; else the first."""
    arms = [arm for arm in kind.__args__ if arm is not types.NoneType]
    names = set(value) if isinstance(value, Mapping) else set()
    fitting = [
        arm for arm in arms if dataclasses.is_dataclass(arm) and names == {f.name for f in dataclasses.fields(arm)}
    ]
    return (fitting or arms)[0]


def _items(kind: object, value: object, *, path: str, faults: list[Fault]) -> object:
    """A tuple of one kind of item, of any length."""
    if not isinstance(value, list):
        faults.append(Fault(field=path, value=value, message="is not a list"))
        return None
    item_kind = typing.get_args(kind)[0]
    return tuple(_value(item_kind, item, path=f"{path}[{n}]", faults=faults) for n, item in enumerate(value))


def _record(kind: type, value: object, *, path: str, faults: list[Fault]) -> object:
    if not isinstance(value, Mapping):
        faults.append(Fault(field=path or kind.__name__, value=value, message="is not an object"))
        return None
    before = len(faults)
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    dot = f"{path}." if path else ""
    for name in sorted(set(value) - set(known)):
        hint = f"known are {', '.join(known)}"
        faults.append(Fault(field=dot + name, value=value[name], message="is not known", hint=hint))
    given: dict[str, object] = {}
    for name, field in known.items():
        if name in value:
            given[name] = _value(hints[name], value[name], path=dot + name, faults=faults)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(Fault(field=dot + name, value=None, message="is missing"))
    return kind(**given) if len(faults) == before else None


def _mapping(kind: object, value: object, *, path: str, faults: list[Fault]) -> object:
    item_kind = typing.get_args(kind)[1]
    if not isinstance(value, Mapping) or any(not isinstance(key, str) for key in value):
        faults.append(Fault(field=path, value=value, message="is not an object"))
        return None
    if item_kind is object:
        return dict(value)
    return {key: _value(item_kind, item, path=f"{path}.{key}", faults=faults) for key, item in value.items()}


def _member(kind: type[enum.Enum], value: object, *, path: str, faults: list[Fault]) -> object:
    members = {member.value: member for member in kind}
    if isinstance(value, str) and value in members:
        return members[value]
    faults.append(Fault(field=path, value=value, message="is not known", hint=f"known are {', '.join(members)}"))
    return None
