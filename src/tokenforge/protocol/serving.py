"""A server for an ASGI application as this project runs it: HTTP/1.1 by httptools, no logs and no signals of its own.

Whoever runs it drains first and then sets `should_exit`.
"""

import contextlib
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from tokenforge.protocol.listening import BACKLOG, LAST_BYTES_S

_KEEP_ALIVE_S = 75


class Server(uvicorn.Server):
    """uvicorn without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave them to whoever runs the process."""
        yield


def make_server(app: ASGIApp) -> Server:
    """A server for `app`, to be given its sockets."""
    return Server(
        uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=LAST_BYTES_S,
        )
    )
