"""Clients that stream without a pause while something changes: which of their streams came whole."""

import http.client
import json
import threading
import urllib.request
from collections.abc import Callable, Mapping

from platform_rig import wait_for

BODY: Mapping[str, object] = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 150, "stream": True}


def streams_during(
    change: Callable[[], None],
    url: str,
    *,
    clients: int,
    body: Mapping[str, object] = BODY,
    headers: Mapping[str, str] | None = None,
    limit_s: float = 30,
) -> list[bool]:
    """Load the platform at `url`, and `change` it once every client had a stream; for each whether it was whole.

    `limit_s` is what one stream may take, and the first of all clients together.
    """
    data = json.dumps(body).encode()
    streams: list[bool] = []
    stop = threading.Event()

    def make_request() -> urllib.request.Request:
        return urllib.request.Request(f"{url}/infer", data=data, headers=dict(headers or {}))

    def load() -> None:
        while not stop.is_set():
            streams.append(_is_whole(make_request(), limit_s=limit_s))

    threads = [threading.Thread(target=load) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(streams) >= clients, limit_s=limit_s)
        change()
    finally:
        stop.set()
        for thread in threads:
            thread.join(limit_s + 10)
    return streams


def _is_whole(request: urllib.request.Request, *, limit_s: float) -> bool:
    """Whether one stream came with its end."""
    try:
        with urllib.request.urlopen(request, timeout=limit_s) as answer:
            return b"event: done" in answer.read()
    except (OSError, http.client.HTTPException):
        return False
