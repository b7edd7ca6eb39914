"""JSON of unknown shape, read with care: what is missing or odd becomes None (or empty), never a guess."""

from collections.abc import Mapping, Sequence

Plain = Mapping[str, object]


def mapping(parent: Plain, key: str) -> Plain:
    """The object at `key`, empty when there is none."""
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def mappings(parent: Plain, key: str) -> Sequence[Plain]:
    """The objects of the list at `key`."""
    value = parent.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def sentences(parent: Plain, key: str) -> Sequence[str]:
    """The strings of the list at `key`."""
    value = parent.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def text(parent: Plain, key: str) -> str | None:
    """The string at `key`."""
    value = parent.get(key)
    return value if isinstance(value, str) else None


def number(parent: Plain, key: str) -> float | None:
    """The number at `key`; a boolean is none."""
    value = parent.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(parent: Plain, key: str) -> int | None:
    """The whole number at `key`."""
    value = number(parent, key)
    return None if value is None else int(value)


def flag(parent: Plain, key: str) -> bool | None:
    """The boolean at `key`."""
    value = parent.get(key)
    return value if isinstance(value, bool) else None
