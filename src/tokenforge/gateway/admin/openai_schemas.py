"""OpenAI's request bodies as JSON schemas for the OpenAPI document: the fields that are read here, with their ranges.

Other fields are let through to the runtime, which refuses what it cannot do; so nothing is forbidden here by its name.
"""

from collections.abc import Mapping

Schema = Mapping[str, object]


def _number(low: float, high: float) -> Schema:
    return {"type": ["number", "null"], "minimum": low, "maximum": high}


def _whole(low: int, high: int = 2**63 - 1) -> Schema:
    return {"type": ["integer", "null"], "minimum": low, "maximum": high}


_FLAG: Schema = {"type": ["boolean", "null"]}
_STOPS: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 16}
_SHARED: Schema = {
    "model": {"type": "string", "minLength": 1, "description": "a model that is deployed: GET /v1/models"},
    "max_tokens": _whole(1),
    "temperature": _number(0, 2),
    "top_p": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1},
    "top_k": _whole(-1),
    "seed": _whole(-(2**63)),
    "stop": {"anyOf": [{"type": "string", "minLength": 1}, _STOPS, {"type": "null"}]},
    "n": _whole(1),
    "stream": _FLAG,
    "stream_options": {
        "type": ["object", "null"], "properties": {"include_usage": _FLAG}, "description": "with stream: true alone",
    },
}  # fmt: skip
_IDS: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, "minItems": 1}

COMPLETION: Schema = {
    "type": "object",
    "required": ["model", "prompt"],
    "properties": {
        **_SHARED,
        "prompt": {"anyOf": [{"type": "string", "minLength": 1}, _IDS]},
        "logprobs": _whole(0, 20),
    },
}
CHAT: Schema = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        **_SHARED,
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {
                    "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
                    "content": {"type": ["string", "array"]},
                    "name": {"type": ["string", "null"]},
                },
            },
        },
        "max_completion_tokens": _whole(1),
        "logprobs": _FLAG,
        "top_logprobs": _whole(0, 20),
    },
}  # fmt: skip
ANYTHING: Schema = {"type": "object", "required": ["model"], "properties": {"model": _SHARED["model"]}}
