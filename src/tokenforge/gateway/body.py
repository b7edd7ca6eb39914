"""A request's JSON body as far as routing needs it: the model's name, and more only where replicas are chosen by it.

The worker reads the body strictly and refuses what is wrong with it; here all of it must be JSON, and no value but
those that are asked for is made.
"""

import msgspec

_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


class _Named(msgspec.Struct):
    """What every request says."""

    model: str


_read_named = msgspec.json.Decoder(_Named).decode
_read_all = msgspec.json.Decoder().decode


def model_in(body: bytes) -> str:
    """The model's name; empty when there is none, for whatever reason."""
    try:
        return _read_named(body).model
    except _FAULTS:
        return ""


class BodyFields:
    """The fields of a body, read when one is asked for."""

    __slots__ = ("_body", "_fields")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._fields: dict[str, object] | None = None

    def get(self, name: str) -> object:
        """A field's value, None where there is none."""
        if self._fields is None:
            try:
                read = _read_all(self._body)
            except _FAULTS:
                read = None
            self._fields = read if isinstance(read, dict) else {}
        return self._fields.get(name)
