"""The bytes of a request, made before the run: one HTTP head and one JSON body, ready to write."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from tokenforge.bench.driver.job import DriveJob, Endpoint
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.plan import PlannedRequest

_PATHS = {Endpoint.COMPLETIONS: "/v1/completions", Endpoint.CHAT: "/v1/chat/completions"}
_OWN_HEADERS = frozenset({"host", "content-length", "content-type", "connection", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect, and the request path."""

    host: str
    port: int
    tls: bool
    path: str
    host_header: str


def parse_target(url: str, endpoint: Endpoint) -> Target:
    """Split a base URL; a trailing `/v1` counts as part of the API path. Raises InvalidInput for anything else."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        fault = Fault(field="url", value=url, message="not an http(s) URL", hint="like http://127.0.0.1:8000")
        raise InvalidInput([fault], source="drive job")
    tls = parts.scheme == "https"
    base = parts.path.rstrip("/").removesuffix("/v1")
    default = 443 if tls else 80
    shown = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Target(
        host=parts.hostname,
        port=port or default,
        tls=tls,
        path=base + _PATHS[endpoint],
        host_header=shown if port in (None, default) else f"{shown}:{port}",
    )


def request_head(target: Target, job: DriveJob) -> bytes:
    """The head up to the value of Content-Length, the same for all requests of a job."""
    lines = [f"POST {target.path} HTTP/1.1", f"Host: {target.host_header}"]
    lines += ["Content-Type: application/json", "Accept: text/event-stream"]
    lines += [f"{name}: {value}" for name, value in _all_headers(job).items()]
    return "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")


def request_bytes(head: bytes, request: PlannedRequest, job: DriveJob) -> bytes:
    """The whole request."""
    body = _body(request, job)
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


def _all_headers(job: DriveJob) -> Mapping[str, str]:
    faults = [
        Fault(
            field=f"headers.{name}", value="(hidden)", message="cannot be sent", hint="no line breaks, not one we set"
        )
        for name, value in job.headers.items()
        if name.lower() in _OWN_HEADERS or not name.isascii() or any(c in name + value for c in "\r\n\0")
    ]
    if faults:
        raise InvalidInput(faults, source="drive job")
    parts = urlsplit(job.url)
    if parts.username is None or any(name.lower() == "authorization" for name in job.headers):
        return job.headers
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {**job.headers, "Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _body(request: PlannedRequest, job: DriveJob) -> bytes:
    fields: dict[str, object] = {"model": job.model}
    fields |= _prompt(request, job.endpoint)
    fields |= {"max_tokens": request.gen_tokens, "temperature": job.temperature, "stream": True}
    options = {"include_usage": True}
    if job.continuous_usage:
        options["continuous_usage_stats"] = True
    fields["stream_options"] = options
    if job.exact_output:
        fields |= {"ignore_eos": True}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def _prompt(request: PlannedRequest, endpoint: Endpoint) -> dict[str, object]:
    if request.messages is not None:
        return _messages(request, request.messages, endpoint)
    if endpoint is Endpoint.COMPLETIONS:
        return {"prompt": request.prompt_text if request.prompt_ids is None else request.prompt_ids}
    if request.prompt_text is None:
        fault = Fault(
            field=f"plan.requests[{request.index}].prompt_ids",
            value=f"{len(request.prompt_ids or ())} ids",
            message="a chat takes no token ids",
            hint="plan prompts as text, or use the completions endpoint",
        )
        raise InvalidInput([fault], source="drive job")
    return {"messages": [{"role": "user", "content": request.prompt_text}]}


def _messages(request: PlannedRequest, messages: Sequence[tuple[str, str]], endpoint: Endpoint) -> dict[str, object]:
    if endpoint is Endpoint.CHAT:
        return {"messages": [{"role": role, "content": content} for role, content in messages]}
    fault = Fault(
        field=f"plan.requests[{request.index}].messages",
        value=f"{len(messages)} messages",
        message="the completions endpoint takes no messages",
        hint="plan prompts as text or token ids, or use the chat endpoint",
    )
    raise InvalidInput([fault], source="drive job")
