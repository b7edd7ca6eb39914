"""Server-side apply, as far as ownership goes: which manager owns which field, conflicts, force, and fields given up.

Fields are the leaves of an object; a list is one leaf (the real server merges some lists by key, which no object of
ours relies on).
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

JsonObject = dict[str, Any]
Path = tuple[str, ...]

_NOT_OWNED = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
_MISSING = object()


def leaves(value: Mapping[str, Any], *, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each path that ends at a value, and the value."""
    for key, item in value.items():
        path = (*above, key)
        if isinstance(item, dict) and item:
            yield from leaves(item, above=path)
        elif path not in _NOT_OWNED:
            yield path, item


def at(value: Mapping[str, Any], path: Path) -> Any:
    """What stands there; `_MISSING` where nothing does."""
    here: Any = value
    for key in path:
        if not isinstance(here, dict) or key not in here:
            return _MISSING
        here = here[key]
    return here


class Owners:
    """Who owns what of one object."""

    def __init__(self) -> None:
        self._by_manager: dict[tuple[str, str], set[Path]] = {}

    def updated(self, before: JsonObject, after: JsonObject, *, manager: str) -> None:
        """What a plain write changed belongs to its writer."""
        changed = {path for path, item in leaves(after) if at(before, path) != item}
        for owned in self._by_manager.values():
            owned.difference_update(changed)
        self._by_manager.setdefault((manager, "Update"), set()).update(changed)

    def conflicts(self, live: JsonObject, applied: JsonObject, *, manager: str) -> list[str]:
        """Fields that others own and that would change."""
        found = []
        for path, item in leaves(applied):
            for (other, _), owned in self._by_manager.items():
                if other != manager and path in owned and at(live, path) != item:
                    found.append(f'conflict with "{other}": .{".".join(path)}')
        return found

    def applied(self, live: JsonObject, applied: JsonObject, *, manager: str) -> JsonObject:
        """The object after it; what this manager applied before and does not now is gone, unless another owns it."""
        key = (manager, "Apply")
        fresh = {path for path, _ in leaves(applied)}
        merged = copy.deepcopy(live)
        for path in self._by_manager.get(key, set()) - fresh:
            if not any(path in owned for other, owned in self._by_manager.items() if other != key):
                _drop(merged, path)
        for path, item in leaves(applied):
            for other, owned in self._by_manager.items():
                if other != key and at(live, path) != item:
                    owned.discard(path)
            _put(merged, path, item)
        self._by_manager[key] = fresh
        return merged


def _put(value: JsonObject, path: Path, item: Any) -> None:
    for key in path[:-1]:
        value = value.setdefault(key, {})
    value[path[-1]] = copy.deepcopy(item)


def _drop(value: JsonObject, path: Path) -> None:
    for key in path[:-1]:
        if not isinstance(value.get(key), dict):
            return
        value = value[key]
    value.pop(path[-1], None)
