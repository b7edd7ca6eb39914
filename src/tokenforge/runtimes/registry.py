"""Which runtimes there are: every plug that an installed package names under the entry points `tokenforge.runtimes`.

Our own four are found the same way as anybody's. A plug that fails to import is told with its cause when it is asked
for, and left out (with the cause) of a listing: one broken plug-in does not take the others down.
"""

import difflib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.runtimes.base import RuntimePlug

GROUP = "tokenforge.runtimes"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPlug:
    """An entry point that cannot be used, and why."""

    name: str
    cause: str


def find_plug(name: str, *, points: Iterable[EntryPoint] | None = None) -> RuntimePlug:
    """The plug called `name`. Raises InvalidInput when there is none (naming the nearest) or it cannot be imported."""
    found = _by_name(points)
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = (f"did you mean {near[0]}? " if near else "") + f"there are: {', '.join(sorted(found))}"
        raise InvalidInput([Fault(field="runtime", value=name, message="is not a known runtime", hint=hint)])
    plug = _load(found[name])
    if isinstance(plug, BrokenPlug):
        hint = "reinstall or remove the package that provides it"
        raise InvalidInput([Fault(field="runtime", value=name, message=f"can't be used: {plug.cause}", hint=hint)])
    return plug


def require_quant(plug: RuntimePlug, quant: Quant | None, accelerator: Accelerator) -> None:
    """Raise InvalidInput, with what it can load, when the runtime cannot load weights of that format here."""
    can = plug.quants.get(accelerator, frozenset())
    if quant is not None and quant not in can:
        hint = f"on {accelerator} it can load: {', '.join(sorted(can)) or 'nothing'}"
        raise InvalidInput([Fault(field="quant", value=str(quant), message=f"{plug.name} can't load it", hint=hint)])


def list_plugs(*, points: Iterable[EntryPoint] | None = None) -> tuple[RuntimePlug, ...]:
    """Every plug that can be imported, by name."""
    return tuple(plug for plug in _all(points) if isinstance(plug, RuntimePlug))


def list_broken(*, points: Iterable[EntryPoint] | None = None) -> tuple[BrokenPlug, ...]:
    """Every entry point that cannot be used."""
    return tuple(plug for plug in _all(points) if isinstance(plug, BrokenPlug))


def _all(points: Iterable[EntryPoint] | None) -> list[RuntimePlug | BrokenPlug]:
    return [_load(same) for _, same in sorted(_by_name(points).items())]


def _by_name(points: Iterable[EntryPoint] | None) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of each name. The same one met twice (a package that is also linked in) counts once."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=GROUP) if points is None else points:
        found.setdefault(point.name, {}).setdefault(point.value, point)
    return {name: tuple(by_value.values()) for name, by_value in found.items()}


def _load(points: tuple[EntryPoint, ...]) -> RuntimePlug | BrokenPlug:
    point, *others = points
    if others:
        both = " and ".join(sorted(p.value for p in points))
        return BrokenPlug(name=point.name, cause=f"several packages provide it: {both}")
    try:
        plug = point.load()
    except Exception as error:  # noqa: BLE001 - somebody else's module may fail in any way
        _log.warning("runtime %s does not load", point.name, exc_info=True)
        return BrokenPlug(name=point.name, cause=f"{point.value} does not load: {type(error).__name__}: {error}")
    if not isinstance(plug, RuntimePlug):
        return BrokenPlug(name=point.name, cause=f"{point.value} is a {type(plug).__name__}, not a RuntimePlug")
    return plug
