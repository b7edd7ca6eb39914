"""`tools` and `tool_choice`: which functions a model is shown, and the call that its answer must be.

A call is JSON that fits the function's parameters, so it is asked of an engine as a schema: of one function its
parameters, of several an object with `name` and `arguments`. Whether to call at all cannot be left to the model here:
that needs a parser of each model's own way to write calls, so `auto` is refused, not guessed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.protocol.json_schema import read_schema
from tokenforge.protocol.openai_fields import Fields
from tokenforge.protocol.tool_schema import choice_of

MOST_TOOLS = 32
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}
_HOW = 'write "required", or {"type": "function", "function": {"name": "..."}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedCall:
    """The call that an answer must be. `shown` are all tools, as the client sent them, for the model's template.

    `name` is the function, None where the answer's own `name` tells which. `schema` is what the answer must fit.
    `is_named`: the client named it, after which OpenAI says `stop` and not `tool_calls`.
    """

    shown: tuple[Mapping[str, object], ...]
    name: str | None
    schema: str
    is_named: bool


def read_tools(fields: Fields) -> ForcedCall | None:
    """The call that is asked for; None where none may be made. Faults are noted by their path."""
    tools = _tools(fields)
    fields.flag("parallel_tool_calls")  # one call is made at a time, which any client must take
    choice = fields.values.get("tool_choice")
    if not tools:
        if choice not in (None, "none", "auto"):
            fields.fault("tool_choice", "needs tools", "leave it out, or send tools")
        return None
    if choice == "none":
        return None
    if choice in (None, "auto"):
        name = "tools" if choice is None else "tool_choice"
        fields.fault(name, "whether to call one cannot be left to the model here", f"as tool_choice {_HOW}")
        return None
    named = _named(fields, choice, tools)
    if choice != "required" and named is None:
        return None
    only = named or (next(iter(tools)) if len(tools) == 1 else None)
    schema = _parameters(tools[only]) if only is not None else choice_of({n: _parameters(t) for n, t in tools.items()})
    text, faults = read_schema(schema, place="tools")
    fields.faults.extend(faults if only is None else [])
    return ForcedCall(
        shown=tuple(tools.values()), name=only, schema=text or "", is_named=named is not None
    )  # fmt: skip


def refuse_beside(fields: Fields, call: ForcedCall | None, *, schema: str | None) -> None:
    """Note what cannot be asked together with a call."""
    if call is None:
        return
    if schema is not None:
        fields.fault("response_format", "stands beside a call that must be made", "leave one of the two out")
    if fields.values.get("stop"):
        fields.fault("stop", "would cut the call that must be made", "leave it out")


def _tools(fields: Fields) -> dict[str, Mapping[str, object]]:
    """Each tool by its function's name."""
    value = fields.values.get("tools", [])
    if not isinstance(value, list) or len(value) > MOST_TOOLS:
        fields.fault("tools", "is not a list of tools", f"send up to {MOST_TOOLS} of them")
        return {}
    found: dict[str, Mapping[str, object]] = {}
    for place, tool in enumerate(value):
        name = _function(fields, tool, path=f"tools[{place}]")
        if name in found:
            fields.fault("tools", f"describes {name!r} twice", "give each function a name of its own")
        elif name is not None:
            found[name] = tool
    return found


def _function(fields: Fields, tool: object, *, path: str) -> str | None:
    """The name of its function; None where it has a fault."""
    function = tool.get("function") if isinstance(tool, Mapping) and tool.get("type") == "function" else None
    if not isinstance(function, Mapping):
        hint = 'write {"type": "function", "function": {"name": "...", "parameters": {...}}}'
        fields.fault("tools", f"has no function at {path}", hint)
        return None
    inner = Fields(function, path=f"{path}.function.")
    name = inner.text("name")
    if name is None or not _NAME.match(name):
        inner.fault("name", "is not a name", "write up to 64 letters, digits, _ and -")
    inner.text("description")
    inner.flag("strict")
    for extra in sorted(set(inner.values) - {"name", "description", "parameters", "strict"}):
        inner.fault(extra, "is not a field of a function", "leave it out")
    parameters = inner.values.get("parameters", _NO_PARAMETERS)
    inner.faults.extend(read_schema(parameters, place=f"{path}.function.parameters")[1])
    if isinstance(parameters, Mapping) and parameters.get("type") != "object":
        inner.fault("parameters", "is not of type object", 'write {"type": "object", "properties": {...}}')
    fields.faults.extend(inner.faults)
    return None if inner.faults else name


def _named(fields: Fields, choice: object, tools: Mapping[str, object]) -> str | None:
    """The function that the client names."""
    if choice == "required":
        return None
    function = choice.get("function") if isinstance(choice, Mapping) and choice.get("type") == "function" else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        fields.fault("tool_choice", "is not a choice", _HOW)
        return None
    if name not in tools:
        fields.fault("tool_choice", f"names {name[:64]!r}, which is none of the tools", f"there are {', '.join(tools)}")
        return None
    return name


def _parameters(tool: object) -> Mapping[str, object]:
    """Those of a tool that was read."""
    function = tool["function"] if isinstance(tool, Mapping) else {}
    return function.get("parameters") or _NO_PARAMETERS


def read_arguments(text: str) -> Mapping[str, object] | None:
    """The arguments of a call, as templates want them; None where they are not a JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
