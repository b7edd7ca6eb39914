"""Whatever JSON comes as a schema, it is taken or refused by name: nothing raises, and what is taken can be said on."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tokenforge.protocol.json_schema import read_schema
from tokenforge.protocol.json_schema_words import ANNOTATIONS, KEYWORDS, TYPES
from tokenforge.protocol.tool_schema import choice_of
from tokenforge.runtimes.vllm_schema import enforceable

_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(TYPES)
_NAMES = st.sampled_from([*KEYWORDS, *sorted(ANNOTATIONS), "pattern", "oneOf", "a"]) | st.text(max_size=3)
_REFERENCES = st.sampled_from(["#", "#/$defs/a", "#/definitions/a", "#/$defs/", "#/a/b"])
ANYTHING = st.recursive(
    _PLAIN | _REFERENCES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=25,
)


def shaped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas that are nearly right, so that many are taken."""
    named = st.dictionaries(st.sampled_from(["a", "b", "maxLength", "$ref"]), inner, max_size=3)
    bound = st.integers(-2, 130)
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("object"), "properties": named}),
        st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": bound}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$ref": _REFERENCES}, optional={"$defs": named}),
    )


_LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(TYPES)}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"minLength": st.integers(0, 9)}),
    st.fixed_dictionaries({"type": st.just(["string", "null"]), "maxLength": st.integers(0, 9)}),
    st.fixed_dictionaries({"enum": st.lists(_PLAIN, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"$ref": _REFERENCES}),
)
NEARLY = st.recursive(_LEAVES, shaped, max_leaves=12)


@given(ANYTHING | NEARLY)
def test_any_json_is_taken_or_refused_by_its_path(value: object) -> None:
    text, faults = read_schema(value, place="s")
    assert (text is None) == bool(faults)
    assert all(fault.field.startswith("s") and fault.message for fault in faults)
    if text is not None:
        assert json.loads(text) == value


@given(NEARLY)
def test_what_is_taken_is_said_on_for_engines_and_for_several_functions(schema: object) -> None:
    text, _ = read_schema(schema, place="s")
    if text is None:
        return
    assert "maxLength" not in json.dumps(_keywords(json.loads(enforceable(text))))
    assert isinstance(schema, dict)
    again, faults = read_schema(choice_of({"f": schema, "g": schema}), place="s")
    assert again is not None or all("nested" in one.message or "in all" in one.message for one in faults)


def _keywords(schema: object) -> list[object]:
    """The names at keyword places, at any depth."""
    if isinstance(schema, list):
        return [_keywords(inner) for inner in schema]
    if not isinstance(schema, dict):
        return []
    found: list[object] = list(schema)
    for name, inner in schema.items():
        if name in ("properties", "$defs", "definitions"):
            found += [_keywords(one) for one in inner.values()]
        elif name not in ("enum", "const", "required", "default", "examples"):
            found.append(_keywords(inner))
    return found
