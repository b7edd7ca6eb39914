"""What the fields of a benchmark say to each other. Works on the body as written, so it speaks even where types fail.

A key that would have no effect is a fault, not ignored: nobody must believe in a setting that did nothing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from tokenforge.domain.benchmark import Order
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import parse_model
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import parse_runtime
from tokenforge.protocol.benchmark_raw import items
from tokenforge.protocol.benchmark_words import nearest, shown
from tokenforge.protocol.benchmark_workload_rules import Formats, workload_faults


def rule_faults(data: Mapping[str, object], *, formats: Formats) -> Iterator[Fault]:
    """Every fault between fields. `data` is the body as the user wrote it; `formats` are those that can be read."""
    yield from _model_faults(data)
    yield from _runtime_faults(data)
    yield from _engine_args_faults(data)
    yield from _target_faults(data)
    names: set[object] = set()
    for index, workload in enumerate(items(data.get("workloads"))):
        if isinstance(workload, Mapping):
            yield from workload_faults(workload, path=f"workloads[{index}]", names=names, formats=formats)


def _model_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    one, several = data.get("model"), data.get("models")
    if one is None and several is None:
        hint = "write model: a hub id (owner/name), a folder (./path), or synthetic:NAME"
        yield Fault(field="model", value=None, message="is missing", hint=hint)
    if one is not None and several is not None:
        yield Fault(field="models", value=shown(several), message="contradicts model", hint="write one of the two")
    if isinstance(one, str):
        yield from _refused(lambda: parse_model(one, field="model"))
    yield from _each(several, "models", lambda text, field: parse_model(text, field=field))


def _runtime_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    yield from _each(data.get("runtimes"), "runtimes", lambda text, field: parse_runtime(text, field=field))


def _target_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    if data.get("target") == Placement.KUBERNETES and data.get("order") == Order.SEQUENTIAL:
        hint = "leave order out: on a cluster all runtimes are up at once, each with resources of its own"
        yield Fault(field="order", value="sequential", message="is not done on a cluster", hint=hint)


def _each(value: object, field: str, parse: Callable[[str, str], object]) -> Iterator[Fault]:
    """Parse each text of a list, or the one text; a second time the same is a fault."""
    seen: set[str] = set()
    for index, text in enumerate(items(value)):
        if not isinstance(text, str):
            continue
        path = field if isinstance(value, str) else f"{field}[{index}]"
        yield from _refused(lambda text=text, path=path: parse(text, path))  # type: ignore[misc]
        if text in seen:
            yield Fault(field=path, value=text, message="is listed twice", hint="leave one out")
        seen.add(text)


def _engine_args_faults(data: Mapping[str, object]) -> Iterator[Fault]:
    args = data.get("engine_args")
    if not isinstance(args, Mapping):
        return
    known = [text.partition("@")[0] for text in items(data.get("runtimes")) if isinstance(text, str)]
    for key, value in args.items():
        field = f"engine_args.{key}"
        if key not in known:
            close = nearest(key, known)
            hint = f"did you mean {close}?" if close else f"the runtimes here are {', '.join(known) or 'none'}"
            yield Fault(field=field, value=shown(value), message="is not a runtime of this benchmark", hint=hint)
        if isinstance(value, Mapping):
            yield from _not_json(value, field)


def _not_json(value: object, field: str) -> Iterator[Fault]:
    """Engine arguments go through JSON and into the record: dates, sets and infinities have no place there."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield Fault(field=f"{field}.{key}", value=shown(item), message="is a key that is not text")
            yield from _not_json(item, f"{field}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{field}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(field=field, value=value, message="must be a finite number")
    elif value is not None and not isinstance(value, str | int | float | bool):
        hint = "put it in quotes if it is text"
        yield Fault(field=field, value=value, message=f"is a {type(value).__name__}, not a JSON value", hint=hint)


def _refused(parse: Callable[[], object]) -> Sequence[Fault]:
    try:
        parse()
    except InvalidInput as error:
        return error.faults
    return ()
