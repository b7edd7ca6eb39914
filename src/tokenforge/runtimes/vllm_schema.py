"""A JSON Schema as vLLM's grammars enforce it: said so that what comes out is JSON, and fits.

xgrammar 0.2.8 lets control characters stand bare in a text with `minLength` or `maxLength` (seen: `"\\x18"` unescaped),
which no reader of JSON takes. The same bounds as a `pattern` of whole characters hold; such a text has no character
that JSON must escape. Each pattern is said once and referred to: 128 of them in place took 5 s to compile, one referred
to 250 times 0.1 s. More than 128 repetitions fail to compile where grammars are cached, as vLLM has it, and said in
parts they take many seconds: hence the bound in `protocol.json_schema_words`. Only for schemas that
`protocol.json_schema` has read. Cheap to import: nothing of vLLM here.
"""

import json
from collections.abc import Mapping

_PLAIN = r'[^"\\\x00-\x1f\x7f]'
_LENGTHS = ("minLength", "maxLength")
_NAMED = ("properties", "$defs", "definitions")
_SAID = ("enum", "const", "required", "default", "examples")
"""Keywords that hold values, not schemas."""


def enforceable(schema: str) -> str:
    """The schema, its length bounds said as patterns."""
    root = json.loads(schema)
    taken = root.get("$defs", {})
    prefix = "length"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    lengths: dict[str, object] = {}
    made = _Saying(prefix, lengths).say(root)
    if lengths and isinstance(made, dict):
        made["$defs"] = {**made.get("$defs", {}), **lengths}
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


class _Saying:
    """One schema being said anew; `lengths` gets the definitions that it refers to."""

    def __init__(self, prefix: str, lengths: dict[str, object]) -> None:
        self._prefix = prefix
        self._lengths = lengths

    def say(self, schema: object) -> object:
        """The schema at any depth."""
        if isinstance(schema, list):
            return [self.say(inner) for inner in schema]
        if not isinstance(schema, Mapping):
            return schema
        made: dict[str, object] = {}
        for name, value in schema.items():
            if name in _NAMED and isinstance(value, Mapping):
                made[name] = {key: self.say(inner) for key, inner in value.items()}
            elif name in _SAID:
                made[name] = value
            elif name not in _LENGTHS:
                made[name] = self.say(value)
        return self._bounded(schema, made) if any(name in schema for name in _LENGTHS) else made

    def _bounded(self, schema: Mapping[str, object], made: dict[str, object]) -> dict[str, object]:
        """`made` without its texts, and a reference for those."""
        least, most = schema.get("minLength", 0), schema.get("maxLength", "")
        name = f"{self._prefix}{least}to{most}"
        self._lengths[name] = {"type": "string", "pattern": f"^{_PLAIN}{{{least},{most}}}$"}
        reference = {"$ref": f"#/$defs/{name}"}
        types = schema.get("type")
        others = [kind for kind in types if kind != "string"] if isinstance(types, list) else []
        top: dict[str, object] = {word: made.pop(word) for word in ("$defs", "definitions") if word in made}
        return {**({"anyOf": [reference, {**made, "type": others}]} if others else reference), **top}
