"""What our own routes answer, as JSON schemas for the OpenAPI document."""

from collections.abc import Mapping

Schema = Mapping[str, object]

_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}


def record(properties: Mapping[str, object], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object with these properties, all of them there but the optional."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def list_of(name: str, item: Schema) -> Schema:
    """`{name: [item, ...]}`."""
    return record({name: {"type": "array", "items": item}})


CONDITION = record(
    {
        "type": {"type": "string", "enum": ["Ready", "Prepared", "Healthy", "Scaled"]},
        "status": {"type": "string", "enum": ["True", "False"]},
        "reason": _TEXT,
        "message": _TEXT,
        "since": _TEXT,
        "last_words": {"type": "array", "items": _TEXT},
    }
)
DEPLOYMENT = record(
    {
        "id": _TEXT,
        "name": _TEXT,
        "model": _TEXT,
        "runtime": _TEXT,
        "status": _TEXT,
        "ready": {"type": "boolean"},
        "generation": {"type": "integer"},
        "desired": _OBJECT,
        "observed": _OBJECT,
        "conditions": {"type": "array", "items": CONDITION},
        "created_at": _TEXT,
        "updated_at": _TEXT,
    }
)
DEPLOYMENTS = list_of("deployments", DEPLOYMENT)
RUN = record(
    {"id": _TEXT, "benchmark": _TEXT, "status": _TEXT, "model": _TEXT, "runtime": _TEXT, "workload": _TEXT,
     "cause": _TEXT, "created_at": _TEXT}
)  # fmt: skip
RUNS = list_of("runs", RUN)
BENCHMARK = record(
    {"id": _TEXT, "status": _TEXT, "created_at": _TEXT, "headline": _TEXT, "runs": {"type": "array", "items": RUN}}
)
BENCHMARKS = list_of("benchmarks", BENCHMARK)
_KEPT: Schema = {"properties": {"sha256": _TEXT, "link": _TEXT}}
ARTIFACTS = list_of(
    "artifacts", {"allOf": [record({"name": _TEXT, "bytes": {"type": "integer"}, "url": _TEXT}), _KEPT]}
)
KEY = record(
    {"id": _TEXT, "name": _TEXT, "scopes": {"type": "array", "items": _TEXT},
     "requests_per_minute": {"type": "integer"}, "concurrency": {"type": "integer"}, "created_at": _TEXT}
)  # fmt: skip
KEYS = list_of("keys", KEY)
NEW_KEY = {"allOf": [KEY, record({"key": _TEXT})]}
EVENT: Schema = {
    "type": "object",
    "description": "one server-sent event; its data is JSON, or [DONE]",
    "properties": {"event": _TEXT, "data": _TEXT, "id": _TEXT},
}
PROBLEM = record(
    {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "errors": {
            "type": "array",
            "items": record({"field": _TEXT, "value": {}, "message": _TEXT, "hint": _TEXT}),
        },
    },
    optional=("errors",),
)
OPENAI_ERROR = record({"error": record({"message": _TEXT, "type": _TEXT, "param": {}, "code": _TEXT})})
HEALTH = record({"status": _TEXT})
MODELS = record({"object": _TEXT, "data": {"type": "array", "items": _OBJECT}})
