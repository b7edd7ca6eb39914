"""An Architecture read back from a record, which may have been edited: what does not fit reads as None."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from tokenforge.models.architecture import Architecture, Latent

_Kind = TypeVar("_Kind", Architecture, Latent)


def recorded_architecture(plain: object) -> Architecture | None:
    """The architecture that `to_plain` wrote, None when a field is missing or of another kind."""
    if not isinstance(plain, Mapping):
        return None
    latent = plain.get("latent")
    values: dict[str, Any] = dict(plain)
    if latent is not None:
        values["latent"] = _built(Latent, latent) if isinstance(latent, Mapping) else None
        if values["latent"] is None:
            return None
    return _built(Architecture, values)


def _built(kind: type[_Kind], values: Mapping[str, Any]) -> _Kind | None:
    wanted = fields(kind)
    if any(field.name not in values or not _fits(values[field.name], field.type) for field in wanted):
        return None
    return kind(**{field.name: values[field.name] for field in wanted})


def _fits(value: object, wanted: Any) -> bool:
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
