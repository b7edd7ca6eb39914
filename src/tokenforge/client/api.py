"""A small client of our own API: JSON in and out, streams as events, problems as errors with their code.

Standard library only, so that a command answers at once. Every call has a time limit.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenforge.domain.errors import TargetUnreachable, TokenForgeError
from tokenforge.protocol.sse import SseEvent, SseParser

_LIMIT_S = 30.0
_STREAM_LIMIT_S = 660.0
_PAGE_BYTES = 64 * 1024


class ServerRefused(TokenForgeError):
    """The server answered with a problem; `code` and `status` are its own."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The server at `url` (without a path). `key` goes along as a bearer token and into no message."""

    url: str
    key: str | None = None

    def get(self, path: str) -> dict[str, Any]:
        """Raises ServerRefused, TargetUnreachable."""
        return self.call("GET", path)

    def text(self, path: str) -> str:
        """An answer that is plain text."""
        with self._open("GET", path, None, {}, limit_s=_LIMIT_S) as response:
            return str(response.read().decode("utf-8", "replace"))

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, limit_s: float = _LIMIT_S
    ) -> dict[str, Any]:
        """A JSON object for a JSON object. Raises ServerRefused, TargetUnreachable."""
        with self._open(method, path, body, {}, limit_s=limit_s) as response:
            answer = json.loads(response.read())
        if not isinstance(answer, dict):
            raise TargetUnreachable(f"{self.url}{path} answered something that is not an object")
        return answer

    def events(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Iterator[SseEvent]:
        """The events of a stream as they come."""
        parser = SseParser()
        with self._open(method, path, body, {"accept": "text/event-stream"}, limit_s=_STREAM_LIMIT_S) as response:
            while received := response.read1(_PAGE_BYTES):
                yield from parser.feed(received)

    def _open(
        self, method: str, path: str, body: Mapping[str, object] | None, headers: Mapping[str, str], *, limit_s: float
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, data=data, method=method, headers=dict(headers))
        if data is not None:
            request.add_header("content-type", "application/json")
        if self.key is not None:
            request.add_header("authorization", f"Bearer {self.key}")
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=limit_s)
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            hint = "Start one here with `tokenforge up`, or name another with --server"
            raise TargetUnreachable(f"no TokenForge answers at {self.url}: {reason}", hint=hint) from error
        return response


def _refused(error: urllib.error.HTTPError) -> ServerRefused:
    """The problem in the body, in its own words."""
    code, message = "http_error", f"the server answered HTTP {error.code}"
    try:
        problem = json.loads(error.read(1 << 20))
        code = str(problem["code"])
        faults = problem.get("errors") or []
        lines = "".join(
            f"\n  - {f['field']}: {f['message']}" + (f" ({f['hint']})" if f["hint"] else "") for f in faults
        )
        message = f"{problem['title']}:{lines}" if faults else str(problem["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        pass
    return ServerRefused(message, code=code, status=error.code)
