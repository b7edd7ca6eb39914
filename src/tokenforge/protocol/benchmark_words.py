"""What a schema objects to, in the user's words: the path as written, what is wrong, and what to write instead."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tokenforge.domain.errors import Fault
from tokenforge.domain.secrets import HIDDEN, is_secret_name
from tokenforge.protocol.benchmark_body import BenchmarkBody, WorkloadBody

_TAGS = frozenset({"plain", "mapping"})

_MESSAGES: Mapping[str, str] = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is not a name",
    "string_unicode": "has half a surrogate pair",
    "too_long": "has more than {max_length} entries",
    "string_too_long": "has more than {max_length} characters",
    "bool_type": "must be true or false",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "enum": "is not one of {expected}",
    "invalid_key": "is a key that is not text",
}


def schema_faults(error: ValidationError, *, root: type[BaseModel] = BenchmarkBody) -> list[Fault]:
    """Each objection of the schema `root` as one Fault, in the order of the document."""
    return [_fault(detail, root) for detail in error.errors(include_url=False)]


def shown(value: object, *, field: str = "") -> object:
    """A value as it may appear in a message: containers by their keys or size alone, a secret not at all."""
    if isinstance(value, Mapping):
        return sorted(map(str, value))
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        return f"a list of {len(value)}"
    return HIDDEN if is_secret_name(field) and value is not None else value


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    found = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def path_text(parts: Iterable[str | int]) -> str:
    """`workloads[0].qps`: the path as a user would write it."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _fault(detail: ErrorDetails, root: type[BaseModel]) -> Fault:
    kind, context = detail["type"], detail.get("ctx", {})
    loc = tuple(part for part in detail["loc"] if part not in _TAGS)
    value = None if kind == "missing" else detail["input"]
    if kind == "extra_forbidden":
        return _unknown_key(loc, value, root)
    if kind == "bounds":
        name = context.get("field")
        if isinstance(name, str):
            loc = (*loc, name)
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        message = detail["msg"].removeprefix(f"{name} ")
    else:
        message = _MESSAGES.get(kind, detail["msg"]).format_map(context)
    field = path_text(loc) or ("benchmark" if root is BenchmarkBody else "body")
    hint = _hint(kind, value, context) or _described(loc, root)
    return Fault(field=field, value=shown(value, field=field), message=message, hint=hint)


def _hint(kind: str, value: object, context: Mapping[str, object]) -> str:
    if kind == "enum":
        close = nearest(value, re.findall(r"'([^']+)'", str(context.get("expected", ""))))
        return f"did you mean {close}?" if close else ""
    if kind in {"int_type", "float_type"} and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"write {value} without quotes"
    return ""


def _described(loc: tuple[str | int, ...], root: type[BaseModel]) -> str:
    _, info = _where(loc, root)
    return "" if info is None else info.description or ""


def _unknown_key(loc: tuple[str | int, ...], value: object, root: type[BaseModel]) -> Fault:
    key = loc[-1]
    model, _ = _where(loc[:-1], root)
    known = () if model is None else tuple(model.model_fields)
    message = "is not a known key"
    if model is BenchmarkBody and key in WorkloadBody.model_fields:
        hint = f"it belongs into a workload: workloads[0].{key}"
    elif model is WorkloadBody and key in BenchmarkBody.model_fields:
        hint = "it belongs to the top of the document, beside workloads"
    else:
        close = nearest(key, known)
        hint = f"did you mean {close}?" if close else f"keys are {', '.join(known)}"
    field = path_text(loc)
    return Fault(field=field, value=shown(value, field=field), message=message, hint=hint)


def _where(loc: tuple[str | int, ...], root: type[BaseModel]) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The model at this path, None where there is none, and the field that leads there."""
    model: type[BaseModel] | None = root
    info: FieldInfo | None = None
    for part in loc:
        if isinstance(part, int):
            continue
        info = model.model_fields.get(part) if model is not None else None
        model = None if info is None else _model_in(info.annotation)
    return model, info


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
