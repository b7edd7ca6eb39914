"""Listening sockets. Apart from the server that workers run, so that a gateway need not load it."""

import socket

from tokenforge.domain.errors import PortInUse

BACKLOG = 2048
LAST_BYTES_S = 2
"""How long answers may take to leave once their work has ended."""


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A listening socket; `is_shared`: others of this user may listen beside it. Raises PortInUse, naming the port.

    What it accepts sends small writes at once (Linux: TCP_NODELAY is inherited). asyncio sees to that only for sockets
    that name their protocol; without it an answer's second write waits 40 ms for an acknowledgement.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="Stop what uses it, or take another port"
        ) from error
    listener.setblocking(False)
    return listener


def bind_several(host: str, port: int, number: int) -> tuple[socket.socket, ...]:
    """So many sockets on one port, among which the kernel spreads connections. Raises PortInUse.

    One that is not shared is bound first: where somebody else listens, also one who shares, it is refused.
    """
    alone = bind(host, port)
    if number == 1:
        return (alone,)
    port = alone.getsockname()[1]
    alone.close()
    return tuple(bind(host, port, is_shared=True) for _ in range(number))
