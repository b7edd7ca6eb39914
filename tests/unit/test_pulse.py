"""A gateway that lives and does not answer is told from one that comes up, is busy, or is well."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tokenforge.cli.pulse import MOST_MISSES, Pulse


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def pulse_of(listener: socket.socket) -> Pulse:
    return Pulse(listener.getsockname(), ask_limit_s=0.05, every_s=0.0)


def answer_once(listener: socket.socket, answer: bytes) -> threading.Thread:
    """Take one client and say that."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1024)
            client.sendall(answer)

    serving = threading.Thread(target=serve)
    serving.start()
    return serving


def asked(pulse: Pulse, times: int) -> Pulse:
    for _ in range(times):
        pulse.ask()
    return pulse


def answered(listener: socket.socket, answer: bytes = b"HTTP/1.1 503 no\r\n\r\n") -> Pulse:
    """One that got an answer, whatever it said."""
    pulse = Pulse(listener.getsockname(), ask_limit_s=2.0)
    serving = answer_once(listener, answer)
    pulse.ask()
    serving.join()
    pulse._ask_limit_s = 0.05
    return pulse


def test_who_answered_and_then_does_not_too_often_in_a_row_is_lost(listener: socket.socket) -> None:
    pulse = asked(answered(listener), MOST_MISSES - 1)
    assert not pulse.is_lost
    assert asked(pulse, 1).is_lost


def test_one_answer_makes_up_for_all_misses(listener: socket.socket) -> None:
    pulse = asked(answered(listener), MOST_MISSES - 1)
    pulse._ask_limit_s = 2.0
    for _ in range(MOST_MISSES - 1):
        listener.accept()[0].close()
    serving = answer_once(listener, b"HTTP/1.1 200 OK\r\n\r\n")
    pulse.ask()
    serving.join()
    pulse._ask_limit_s = 0.05
    assert not asked(pulse, MOST_MISSES - 1).is_lost


def test_who_never_answered_is_coming_up(listener: socket.socket) -> None:
    assert not asked(pulse_of(listener), 3 * MOST_MISSES).is_lost


def test_what_is_no_http_is_no_answer(listener: socket.socket) -> None:
    assert not asked(answered(listener, b"hello"), 3 * MOST_MISSES).is_lost


def test_another_process_begins_anew(listener: socket.socket) -> None:
    pulse = asked(answered(listener), MOST_MISSES)
    pulse.begin_anew()
    assert not asked(pulse, MOST_MISSES).is_lost


def test_nobody_there_is_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    assert not asked(Pulse(address), MOST_MISSES).is_lost
