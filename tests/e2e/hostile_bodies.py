"""Bodies that no sane client sends, and the means to send them: whole, in parts, or announced and never sent."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping

DEPTH = 10_000
LONG = "x" * 300_000

BROKEN: Mapping[str, bytes] = {
    "nothing": b"",
    "half": b'{"model": "synthetic:tiny"',
    "not_utf8": b'{"model": "\xff\xfe"}',
    "utf16": '{"model": "synthetic:tiny"}'.encode("utf-16"),
    "nul": b"\x00" * 64,
    "deep_lists": b"[" * DEPTH + b"]" * DEPTH,
    "deep_objects": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "deep_in_a_field": b'{"model": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "a_number": b"7",
    "a_text": b'"model"',
    "a_list": b'[{"model": "synthetic:tiny"}]',
    "nan": b'{"model": NaN}',
    "infinity": b'{"model": "synthetic:tiny", "seed": -Infinity}',
    "many_digits": b'{"model": "synthetic:tiny", "seed": ' + b"9" * 5_000 + b"}",
    "twice": b'{"model": "synthetic:tiny", "model": "synthetic:tiny"}',
    "twice_inside": b'{"model": "synthetic:tiny", "resources": {"gpu": 1, "gpu": 0}}',
    "xml": b'<?xml version="1.0"?><model>synthetic:tiny</model>',
    "form": b"model=synthetic%3Atiny&runtime=sim",
}

WRONG: tuple[object, ...] = (
    float("1e400"), -(10**30), 10**400, -1, 1.5, True, "\ud800", LONG, "\x00", [], {}, [[]], {"a": {"b": []}},
    ["\udfff"], {"\ud800": 1},
)  # fmt: skip
"""Values of which each field takes very few."""


def spoiled(body: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
    """The body with each of its fields replaced by each wrong value, one at a time."""
    for field in body:
        for value in WRONG:
            text = json.dumps({**body, field: value}).replace("Infinity", "1e400")
            yield f"{field} = {text[:60]}", text.encode()


def announce(address: tuple[str, int], path: str, size: int) -> int:
    """Announce a body and send none of it; the status of the answer."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (path.encode(), size))
        return _status(client)


def pour(address: tuple[str, int], path: str, size: int) -> int:
    """Send a body in chunks without saying how long it will be, until the server answers; the status."""
    part = b" " * 65_536
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"POST %s HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n" % path.encode())
        client.settimeout(20)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(size // len(part)):
                client.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            client.sendall(b"0\r\n\r\n")
        return _status(client)


def _status(client: socket.socket) -> int:
    """Of the answer; 0 where the connection was cut before one could be read."""
    with contextlib.suppress(ConnectionResetError):
        head = client.recv(4_096)
        return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0
    return 0
