"""Loaders of recorded loads: ours, and those that installed packages name under two groups of entry points.

`tokenforge.traces` names callables that take a path and yield `TraceRow`s, `tokenforge.datasets` such that yield
`DatasetPrompt`s. A name of ours can't be taken by a package; a package that fails is told with its cause.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TypeVar, cast

from tokenforge.domain.errors import Fault, InvalidInput, TokenForgeError

TRACES = "tokenforge.traces"
DATASETS = "tokenforge.datasets"

Row = TypeVar("Row")


def known_formats(group: str, own: Iterable[str], *, points: Iterable[EntryPoint] | None = None) -> tuple[str, ...]:
    """The names of all formats of a group, sorted; nothing is imported."""
    return tuple(sorted({*own, *(point.name for point in _points(group, points))}))


def find_loader(
    group: str,
    name: str,
    own: Mapping[str, Callable[[Path], Iterable[Row]]],
    *,
    field: str,
    points: Iterable[EntryPoint] | None = None,
) -> Callable[[Path], Iterable[Row]]:
    """The loader called `name`. Raises InvalidInput, naming `field`, when there is none or it can't be imported."""
    if name in own:
        return own[name]
    found = {point.value: point for point in _points(group, points) if point.name == name}
    if not found:
        known = known_formats(group, own, points=points)
        near = difflib.get_close_matches(name, known, n=1)
        hint = (f"did you mean {near[0]}? " if near else "") + f"there are: {', '.join(known)}"
        raise InvalidInput([Fault(field=field, value=name, message="is not a known format", hint=hint)])
    if len(found) > 1:
        message = f"is provided by several packages: {' and '.join(sorted(found))}"
        raise InvalidInput([Fault(field=field, value=name, message=message, hint="remove all but one")])
    (point,) = found.values()
    return _import(point, field=field)


def load_rows(loader: Callable[[Path], Iterable[Row]], path: Path, *, kind: type[Row], field: str) -> Iterator[Row]:
    """What a loader yields, checked to be of its kind. Raises InvalidInput for whatever fails in a loader."""
    try:
        for number, row in enumerate(loader(path), start=1):
            if not isinstance(row, kind):
                raise TypeError(f"row {number} is a {type(row).__name__}, not a {kind.__name__}")
            yield row
    except TokenForgeError:
        raise
    except Exception as error:
        message = f"can't be read: {type(error).__name__}: {error}"
        raise InvalidInput([Fault(field=field, value=str(path), message=message)]) from error


def _points(group: str, points: Iterable[EntryPoint] | None) -> Iterable[EntryPoint]:
    return entry_points(group=group) if points is None else points


def _import(point: EntryPoint, *, field: str) -> Callable[[Path], Iterable[Row]]:
    hint = "reinstall or remove the package that provides it"
    try:
        loader = point.load()
    except Exception as error:
        message = f"can't be used: {point.value} does not load: {type(error).__name__}: {error}"
        raise InvalidInput([Fault(field=field, value=point.name, message=message, hint=hint)]) from error
    if not callable(loader):
        message = f"can't be used: {point.value} is a {type(loader).__name__}, not a function of a path"
        raise InvalidInput([Fault(field=field, value=point.name, message=message, hint=hint)])
    return cast("Callable[[Path], Iterable[Row]]", loader)
