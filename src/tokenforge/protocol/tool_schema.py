"""Several functions' parameters as one schema: an object that names one of them and has its arguments.

References lead from the top of a schema, so definitions move there under names of their own.
"""

from collections.abc import Mapping

from tokenforge.protocol.json_schema_refs import DEFINITIONS

_NAMED = ("properties", *DEFINITIONS)
_SAID = ("enum", "const", "required", "default", "examples")
"""Keywords that hold values, not schemas."""


def choice_of(parameters: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """The schema of a call of one of these functions, by their names. The name comes first."""
    definitions: dict[str, object] = {}
    branches: list[object] = []
    for number, (name, schema) in enumerate(parameters.items()):
        moved = _moved(schema, f"{number}")
        for start in DEFINITIONS:
            inner = moved.pop(start, {})
            if isinstance(inner, Mapping):
                definitions |= {f"{number}.{start}.{key}": value for key, value in inner.items()}
        arguments: object = moved
        if _refers_to_top(schema):
            definitions[f"{number}"] = moved
            arguments = {"$ref": f"#/$defs/{number}"}
        branches.append({
            "type": "object", "properties": {"name": {"const": name}, "arguments": arguments},
            "required": ["name", "arguments"], "additionalProperties": False,
        })  # fmt: skip
    made: dict[str, object] = {"anyOf": branches}
    return {**made, "$defs": definitions} if definitions else made


def _moved(schema: Mapping[str, object], prefix: str) -> dict[str, object]:
    """The schema with its references as they are under `prefix`."""
    return {name: _moved_value(name, value, prefix) for name, value in schema.items()}


def _moved_value(name: str, value: object, prefix: str) -> object:
    if name == "$ref" and isinstance(value, str):
        start, _, rest = value.removeprefix("#/").partition("/")
        return f"#/$defs/{prefix}" if value == "#" else f"#/$defs/{prefix}.{start}.{rest}"
    if name in _SAID:
        return value
    if name in _NAMED and isinstance(value, Mapping):
        return {key: _moved(inner, prefix) if isinstance(inner, Mapping) else inner for key, inner in value.items()}
    if isinstance(value, Mapping):
        return _moved(value, prefix)
    if isinstance(value, list):
        return [_moved(inner, prefix) if isinstance(inner, Mapping) else inner for inner in value]
    return value


def _refers_to_top(schema: object) -> bool:
    if isinstance(schema, Mapping):
        return schema.get("$ref") == "#" or any(_refers_to_top(inner) for inner in schema.values())
    return isinstance(schema, list) and any(_refers_to_top(inner) for inner in schema)
