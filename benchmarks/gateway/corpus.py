"""Requests that two HTTP parsers may read differently, written from RFC 9110 and 9112, with what must come of each.

A case is bytes on a connection and the statuses that may come back, in order; what follows a refusal is never read as a
request. `nginx` names what nginx 1.22 says where it is another word for the same: refusing with 400 what we refuse with
501 is no difference that an attacker could use. Where `is_stricter`, nginx takes what we refuse, and the reason stands
beside it.
"""

from dataclasses import dataclass

REFUSED = (400, 405, 408, 411, 413, 414, 417, 431, 501, 505)
"""Statuses of a request that was not passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`sent` in the given pieces; the answers' statuses must be `statuses`, 0 standing for any refusal."""

    name: str
    sent: bytes
    statuses: tuple[int, ...]
    is_stricter: str = ""


def _post(*lines: bytes, body: bytes = b"{}", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join((b"POST /echo HTTP/1.1", host, *lines, b"", b"")) + body


def _get(*lines: bytes) -> bytes:
    return b"\r\n".join((b"GET /echo HTTP/1.1", b"Host: a", *lines, b"", b""))


_TE = b"Transfer-Encoding: chunked"
_NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
_EMPTY = b"0\r\n\r\n"

LENGTHS = (
    Case(name="length", sent=_post(b"Content-Length: 2"), statuses=(200,)),
    Case(name="chunked", sent=_post(_TE, body=b"2\r\n{}\r\n" + _EMPTY), statuses=(200,)),
    Case(name="CL.TE", sent=_post(b"Content-Length: 5", _TE, body=_EMPTY + _NEXT), statuses=(0,)),
    Case(name="TE.CL", sent=_post(_TE, b"Content-Length: 5", body=_EMPTY + _NEXT), statuses=(0,)),
    Case(name="TE twice", sent=_post(_TE, _TE, body=_EMPTY + _NEXT), statuses=(0,)),
    Case(name="TE identity", sent=_post(b"Transfer-Encoding: identity", body=b"{}" + _NEXT), statuses=(0,)),
    Case(name="TE xchunked", sent=_post(b"Transfer-Encoding: xchunked", body=_EMPTY), statuses=(0,)),
    Case(name="TE gzip, chunked", sent=_post(b"Transfer-Encoding: gzip, chunked", body=_EMPTY), statuses=(0,)),
    Case(name="TE chunked, identity", sent=_post(b"Transfer-Encoding: chunked, identity", body=_EMPTY), statuses=(0,)),
    Case(name="TE with VT", sent=_post(b"Transfer-Encoding: \x0bchunked", body=_EMPTY), statuses=(0,)),
    Case(name="TE quoted", sent=_post(b'Transfer-Encoding: "chunked"', body=_EMPTY), statuses=(0,)),
    Case(name="TE space colon", sent=_post(b"Transfer-Encoding : chunked", body=_EMPTY), statuses=(0,)),
    Case(name="TE folded", sent=_post(b"Transfer-Encoding:\r\n chunked", body=_EMPTY), statuses=(0,)),
    Case(
        name="TE in HTTP/1.0",
        sent=_post(_TE, body=b"2\r\n{}\r\n" + _EMPTY).replace(b"HTTP/1.1", b"HTTP/1.0"),
        statuses=(0,),
    ),
    Case(name="CL twice, same", sent=_post(b"Content-Length: 2", b"Content-Length: 2"), statuses=(0,)),
    Case(name="CL twice, different", sent=_post(b"Content-Length: 2", b"Content-Length: 3"), statuses=(0,)),
    Case(name="CL list", sent=_post(b"Content-Length: 2, 2"), statuses=(0,)),
    Case(name="CL plus", sent=_post(b"Content-Length: +2"), statuses=(0,)),
    Case(name="CL minus", sent=_post(b"Content-Length: -2"), statuses=(0,)),
    Case(name="CL hex", sent=_post(b"Content-Length: 0x2"), statuses=(0,)),
    Case(name="CL empty", sent=_post(b"Content-Length:"), statuses=(0,)),
    Case(name="CL inner space", sent=_post(b"Content-Length: 1 2"), statuses=(0,)),
    Case(name="CL beyond 64 bits", sent=_post(b"Content-Length: 99999999999999999999"), statuses=(0,)),
    Case(name="CL beyond the limit", sent=_post(b"Content-Length: 99999999"), statuses=(0,)),
)

CHUNKS = tuple(
    Case(name=name, sent=_post(_TE, body=body), statuses=statuses, is_stricter=why)
    for name, body, statuses, why in (
        ("chunk extension", b"2;a=b\r\n{}\r\n" + _EMPTY, (200,), ""),
        ("chunk trailer", b"2\r\n{}\r\n0\r\nX: y\r\n\r\n", (200,), ""),
        ("chunk capital hex", b"A\r\n{        }\r\n" + _EMPTY, (200,), ""),
        ("chunk size minus", b"-1\r\n\r\n", (0,), ""),
        ("chunk size 0x", b"0x2\r\n{}\r\n" + _EMPTY, (0,), ""),
        ("chunk size of 17 digits", b"10000000000000002\r\n{}\r\n" + _EMPTY, (0,), ""),
        ("chunk size empty", b"\r\n{}\r\n" + _EMPTY, (0,), ""),
        ("chunk size word", b"two\r\n{}\r\n" + _EMPTY, (0,), ""),
        ("chunk too long", b"2\r\n{} \r\n" + _EMPTY, (0,), ""),
        ("chunk without its end", b"2\r\n{}" + _EMPTY + _NEXT, (0,), ""),
        ("chunk size and LF", b"2\n{}\r\n" + _EMPTY, (0,), "a bare LF ends a line for some and not for others"),
        ("chunk data and LF", b"2\r\n{}\n" + _EMPTY, (0,), "likewise"),
        ("chunk extension and LF", b"2;a\n{}\r\n" + _EMPTY, (0,), "likewise"),
        ("chunk size and space", b"2 \r\n{}\r\n" + _EMPTY, (0,), "RFC 9112 has no space there"),
    )
)

LINES = (
    Case(name="obs-fold", sent=_get(b"X: a\r\n b"), statuses=(0,), is_stricter="nginx drops a folded line"),
    Case(
        name="space before the first header",
        sent=b"GET /echo HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n",
        statuses=(0,),
        is_stricter="nginx drops such a line",
    ),
    Case(
        name="bare LF",
        sent=_get().replace(b"\r\n", b"\n"),
        statuses=(0,),
        is_stricter="RFC 9112 allows it, and smuggling lives on it",
    ),
    Case(name="bare CR in a value", sent=_get(b"X: a\rY: b"), statuses=(0,)),
    Case(name="bare CR between lines", sent=b"GET /echo HTTP/1.1\rHost: a\r\r", statuses=(0,)),
    Case(name="NUL in a value", sent=_get(b"X: a\0b"), statuses=(0,)),
    Case(name="NUL in a name", sent=_get(b"X\0: a"), statuses=(0,), is_stricter="nginx drops such a line"),
    Case(name="control in a value", sent=_get(b"X: a\x01b"), statuses=(0,), is_stricter="nginx passes it on"),
    Case(name="space before the colon", sent=_get(b"X : a"), statuses=(0,), is_stricter="nginx drops such a line"),
    Case(name="no colon", sent=_get(b"X"), statuses=(0,), is_stricter="nginx drops such a line"),
    Case(name="empty name", sent=_get(b": a"), statuses=(0,), is_stricter="nginx drops such a line"),
    Case(name="a value beyond ASCII", sent=_get(b"X: \xff"), statuses=(200,)),
    Case(name="many headers", sent=_get(*(b"X%d: a" % n for n in range(200))), statuses=(0,), is_stricter="by number"),
    Case(name="a large header", sent=_get(b"X: " + b"a" * 40_000), statuses=(0,)),
    Case(name="a long target", sent=b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", statuses=(0,)),
)

HEADS = (
    Case(name="no Host", sent=b"GET /echo HTTP/1.1\r\n\r\n", statuses=(0,)),
    Case(name="two Hosts", sent=_get(b"Host: b"), statuses=(0,)),
    Case(name="HTTP/1.0 without Host", sent=b"GET /echo HTTP/1.0\r\n\r\n", statuses=(200,)),
    Case(name="HTTP/0.9", sent=b"GET /echo\r\n\r\n", statuses=(0,), is_stricter="nobody speaks it"),
    Case(name="HTTP/1.2", sent=_get().replace(b"1.1", b"1.2"), statuses=(0,), is_stricter="there is none"),
    Case(name="HTTP/2.0", sent=_get().replace(b"1.1", b"2.0"), statuses=(0,)),
    Case(name="HTTP/2 preface", sent=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", statuses=(0,)),
    Case(name="http in small", sent=_get().replace(b"HTTP", b"http"), statuses=(0,)),
    Case(name="absolute form", sent=_get().replace(b"/echo", b"http://a/echo"), statuses=(200,)),
    Case(name="authority form", sent=b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", statuses=(0,)),
    Case(name="a target that is no path", sent=_get().replace(b"/echo", b"echo"), statuses=(0,)),
    Case(
        name="space in the target", sent=_get().replace(b"/echo", b"/ec ho"), statuses=(0,), is_stricter="cut by some"
    ),
    Case(name="NUL in the target", sent=_get().replace(b"/echo", b"/ec\0ho"), statuses=(0,)),
    Case(name="space after the version", sent=_get().replace(b"1.1\r", b"1.1 \r"), statuses=(0,), is_stricter="no SP"),
    Case(name="method in small", sent=_get().replace(b"GET", b"get"), statuses=(0,)),
    Case(name="no request", sent=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", statuses=(0,)),
    Case(name="empty lines before", sent=b"\r\n\r\n" + _get(), statuses=(200,)),
)

CONNECTIONS = (
    Case(name="pipelined", sent=_get() + _post(b"Content-Length: 2") + _NEXT, statuses=(200, 200, 200)),
    Case(name="pipelined behind a refusal", sent=_get() + _post(b"Content-Length: x") + _NEXT, statuses=(200, 0)),
    Case(name="pipelined behind a close", sent=_get(b"Connection: close") + _NEXT, statuses=(200,)),
    Case(name="a body to GET", sent=_get(b"Content-Length: %d" % len(_NEXT)) + _NEXT, statuses=(200,)),
    Case(name="expects 100-continue", sent=_post(b"Content-Length: 2", b"Expect: 100-continue"), statuses=(100, 200)),
    Case(
        name="expects something else",
        sent=_post(b"Content-Length: 2", b"Expect: gold"),
        statuses=(0,),
        is_stricter="RFC 9110 says 417",
    ),
    Case(
        name="an upgrade nobody makes",
        sent=_post(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"Content-Length: 2"),
        statuses=(200,),
    ),
)

CASES = (*LENGTHS, *CHUNKS, *LINES, *HEADS, *CONNECTIONS)
