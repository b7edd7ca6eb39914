"""What a request's head says, after httptools has checked its grammar: the rules that remain.

httptools (llhttp) refuses bare CR and LF, folded lines, spaces before a colon, NUL, two lengths, a length beside a
transfer coding. Here are refused: versions other than 1.0 and 1.1, no Host or two, codings other than `chunked`, any
coding with 1.0, targets that are no path, expectations other than 100-continue, and what is beyond the limits.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

import httptools

from tokenforge.gateway.http.limits import Limits
from tokenforge.protocol.problem import Problem

Headers = list[tuple[bytes, bytes]]


class Head(NamedTuple):
    """What a request's first line asks for."""

    method: str
    version: str
    path: str
    raw_path: bytes
    query: bytes


class Refused(Exception):
    """The request is not answered but refused, and its connection ends."""

    def __init__(self, status: int, message: str, *, code: str = "bad_request", retry_after_s: int = 0) -> None:
        super().__init__(message)
        headers = {"retry-after": str(retry_after_s)} if retry_after_s else {}
        self.problem = Problem(status=status, code=code, message=message, headers=headers)


def read_head(
    *, method: bytes, version: str, target: bytes, headers: Headers, limits: Limits
) -> tuple[Head, Mapping[bytes, bytes]]:
    """What a request asks for, and its headers by lower-case name, of each name the first. Raises Refused."""
    if len(target) > limits.target_bytes:
        raise Refused(414, f"the target has {len(target)} bytes, {limits.target_bytes} are allowed", code="too_large")
    if len(headers) > limits.headers:
        raise Refused(431, f"{len(headers)} header lines came, {limits.headers} are allowed", code="too_large")
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = dict(reversed(headers))
    _check(version, fields, headers)
    raw_path, _, query = (target if target.startswith(b"/") else _path_of(target)).partition(b"?")
    path = raw_path.decode("ascii")
    if "%" in path:
        path = unquote(path)
    return Head(method.decode("ascii"), version, path, raw_path, query), fields


def _check(version: str, fields: dict[bytes, bytes], headers: Headers) -> None:
    if version not in ("1.1", "1.0"):
        raise Refused(505, f"HTTP/{version} is not spoken here; use HTTP/1.1", code="version")
    if b"transfer-encoding" in fields:
        if version == "1.0":
            raise Refused(400, "HTTP/1.0 has no Transfer-Encoding")
        if fields[b"transfer-encoding"].lower() != b"chunked":
            raise Refused(501, "no Transfer-Encoding but chunked is understood", code="coding")
    hosts = len(headers) - len(fields) and sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (b"host" not in fields and version == "1.1"):
        raise Refused(400, "a request names one Host")
    if fields.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise Refused(417, "no expectation but 100-continue is understood", code="expectation")


def _path_of(target: bytes) -> bytes:
    """The path of `http://host/path`, which any server must take (RFC 9112, 3.2.2)."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        url = None
    if url is None or url.schema not in (b"http", b"https") or not url.host:
        raise Refused(400, "the request's target is no path")
    path: bytes = url.path or b"/"
    return path + b"?" + url.query if url.query else path


def head_bytes(target: bytes, headers: Headers) -> int:
    """About how large a head was."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
