"""Where a schema's references lead, and whether an answer can ever end that follows them.

Only for schemas that `json_schema` has read: every reference leads somewhere, every keyword has its type.
"""

from collections.abc import Iterator, Mapping

DEFINITIONS = ("$defs", "definitions")


def find_target(root: object, reference: str) -> object | None:
    """What `reference` (`#`, `#/$defs/NAME`) leads to within `root`; None when it leads nowhere."""
    if reference == "#":
        return root
    start, _, name = reference.removeprefix("#/").partition("/")
    if not reference.startswith("#/") or start not in DEFINITIONS or "/" in name or not isinstance(root, Mapping):
        return None
    within = root.get(start)
    return within.get(name) if isinstance(within, Mapping) else None


def find_endless(root: object) -> str | None:
    """The reference of a named schema that no finite value fits, or that is reached from itself by naming alone.

    Only what is referred to can be endless, so those are looked at.
    """
    references = sorted(_references(root))
    ended: set[str] = set()
    while more := {one for one in references if one not in ended and _can_end(find_target(root, one), ended)}:
        ended |= more
    for reference in references:
        if reference not in ended or reference in _reached_by_naming(root, reference):
            return reference
    return None


def _references(schema: object) -> Iterator[str]:
    """Every `$ref` in a schema, at any depth."""
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _can_end(schema: object, ended: set[str]) -> bool:
    """Whether a finite value fits, given the references that are known to have one."""
    if not isinstance(schema, Mapping):
        return True
    if "$ref" in schema:
        return schema["$ref"] in ended
    branches, properties, required = schema.get("anyOf"), schema.get("properties", {}), schema.get("required", [])
    if isinstance(branches, list):
        return any(_can_end(branch, ended) for branch in branches)
    if schema.get("type") not in ("object", "array"):
        return True  # one of several types, or a plain one
    if schema.get("minItems", 0):
        return _can_end(schema.get("items"), ended)
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return True
    return all(_can_end(properties[name], ended) for name in required)


def _reached_by_naming(root: object, reference: str) -> set[str]:
    """References that stand where a schema stands for another, from `reference` on: by `$ref` and `anyOf` alone."""
    reached: set[str] = set()
    open_ones = [find_target(root, reference)]
    while open_ones:
        schema = open_ones.pop()
        if not isinstance(schema, Mapping):
            continue
        named = schema.get("$ref")
        if isinstance(named, str) and named not in reached:
            reached.add(named)
            open_ones.append(find_target(root, named))
        branches = schema.get("anyOf")
        open_ones += branches if isinstance(branches, list) else []
    return reached
