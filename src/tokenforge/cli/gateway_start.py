"""`gateway` without the rest of the command line, whose words take as long to load as the whole gateway."""

from collections.abc import Sequence
from dataclasses import dataclass

_NUMBERS = {"--port": "port", "--socket-fd": "socket_fd", "--lifeline-fd": "lifeline_fd"}
_MOST_DIGITS = 5


@dataclass(slots=True)
class GatewayOptions:
    """The options of the command `gateway`, with its defaults."""

    port: int = 8080
    host: str = "127.0.0.1"
    is_shared: bool = False
    socket_fd: int | None = None
    lifeline_fd: int | None = None


def plain_options(words: Sequence[str]) -> GatewayOptions | None:
    """The options, where each is written in the plainest way; None leaves them to the command line, which explains."""
    options, left = GatewayOptions(), list(words)
    while left:
        word = left.pop(0)
        if word == "--shared":
            options.is_shared = True
        elif word == "--host" and left:
            options.host = left.pop(0)
        elif word in _NUMBERS and left and _is_number(left[0]):
            setattr(options, _NUMBERS[word], int(left.pop(0)))
        else:
            return None
    return options if options.port < 1 << 16 else None


def start_gateway(words: Sequence[str]) -> int | None:
    """Run it to its end and return the exit code; None when the command line is to do it, or to say what is wrong."""
    options = plain_options(words)
    if options is None:
        return None
    from tokenforge.cli.processes import listener_of, run_gateway
    from tokenforge.domain.errors import TokenForgeError

    try:
        listener = listener_of(
            options.host, options.port, socket_fd=options.socket_fd, is_shared=options.is_shared
        )  # fmt: skip
    except TokenForgeError:
        return None  # tried again, and told
    return run_gateway(listener, lifeline_fd=options.lifeline_fd)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS
