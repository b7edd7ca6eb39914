"""The OpenAPI 3.1 document, made from the operations themselves."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tokenforge import __version__
from tokenforge.gateway.admin.operation import Operation
from tokenforge.gateway.admin.schemas import EVENT, OPENAI_ERROR, PROBLEM
from tokenforge.protocol.problem import speaks_openai

_EVENTS = "text/event-stream"
_REFERENCE = "#/components/schemas/{model}"
_REQUEST_ID = {
    "name": "x-request-id",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "comes back in the answer, where it is printable and up to 128 long; else one is made",
}


def openapi_document(operations: Iterable[Operation]) -> Mapping[str, object]:
    """The whole document."""
    known = list(operations)
    models = {model for operation in known for model in _models(operation)}
    _, definitions = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda m: m.__name__)], ref_template=_REFERENCE
    )
    schemas = {**_with_nulls(definitions.get("$defs", {})), "Problem": PROBLEM, "OpenAIError": OPENAI_ERROR}
    paths: dict[str, dict[str, object]] = {}
    for operation in known:
        path = re.sub(r":\w+}", "}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "TokenForge", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _with_nulls(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Null is the same as absent in every body (`Body`), so a field that may be left out may be null."""
    return {name: _with_null(schema) for name, schema in schemas.items()}


def _with_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "properties" not in schema:
        return dict(schema)
    required = set(schema.get("required", ()))
    properties = {
        name: one if name in required else {"anyOf": [one, {"type": "null"}]}
        for name, one in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def _models(operation: Operation) -> list[type[BaseModel]]:
    found = [operation.body] if isinstance(operation.body, type) else []
    return found + [answer for answer in operation.answers.values() if isinstance(answer, type)]


def _described(operation: Operation) -> dict[str, object]:
    described: dict[str, object] = {
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}_{operation.path.strip('/').translate(_NAME)}",
        "parameters": [*_path_parameters(operation.path), *_parameters(operation), _REQUEST_ID],
        "responses": {
            **{str(status): _answer(operation, what) for status, what in operation.answers.items()},
            **{str(status): _problem(operation, status) for status in _problems(operation)},
        },
    }
    if operation.needs:
        described["security"] = [{"key": []}, {}]
    if operation.body is not None:
        described["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": _schema(operation.body)}},
        }  # fmt: skip
    return described


def _problems(operation: Operation) -> list[int]:
    """Its own, and those of the guard before it."""
    guard = (401, 403, 429, 503) if operation.needs else ()
    return sorted({*operation.problems, *guard} - set(operation.answers))


_NAME = str.maketrans({":": "_", "/": "_", "{": None, "}": None, ".": "_", "-": "_"})


def _answer(operation: Operation, what: "str | type[BaseModel] | Mapping[str, object]") -> dict[str, object]:
    if isinstance(what, str):
        schema: Mapping[str, object] = {} if what == "*/*" else {"type": "string"}
        if what == _EVENTS:
            schema = EVENT
        return {"description": operation.summary, "content": {what: {"schema": schema}}}
    content: dict[str, object] = {"application/json": {"schema": _schema(what)}}
    if operation.path == "/infer" or operation.path.endswith("/completions"):
        content[_EVENTS] = {"schema": EVENT}
    return {"description": operation.summary, "content": content}


def _schema(what: "type[BaseModel] | Mapping[str, object]") -> Mapping[str, object]:
    return {"$ref": _REFERENCE.format(model=what.__name__)} if isinstance(what, type) else what


def _problem(operation: Operation, status: int) -> dict[str, object]:
    is_openai = speaks_openai(operation.path)
    kind = "application/json" if is_openai else "application/problem+json"
    name = "OpenAIError" if is_openai else "Problem"
    return {
        "description": f"what is wrong, with HTTP {status}",
        "content": {kind: {"schema": {"$ref": _REFERENCE.format(model=name)}}},
    }


def _path_parameters(path: str) -> list[dict[str, object]]:
    names = [part.strip("{}").partition(":")[0] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _parameters(operation: Operation) -> list[dict[str, object]]:
    return [
        {"name": p.name, "in": p.place, "required": False, "schema": dict(p.schema), "description": p.text}
        for p in operation.parameters
    ]
