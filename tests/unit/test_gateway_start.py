"""The gateway's options, read without the command line: only as the command line would read them."""

import inspect

import pytest

from tokenforge.cli.gateway_start import GatewayOptions, plain_options
from tokenforge.cli.platform_commands import gateway


def test_the_defaults_are_those_of_the_command() -> None:
    said = {name: parameter.default for name, parameter in inspect.signature(gateway).parameters.items()}
    options = plain_options([])
    assert options is not None
    assert {name: getattr(options, name) for name in said} == said


def test_plain_options_are_read() -> None:
    words = ["--port", "9", "--host", "::1", "--shared", "--socket-fd", "4", "--lifeline-fd", "5"]
    assert plain_options(words) == GatewayOptions(port=9, host="::1", is_shared=True, socket_fd=4, lifeline_fd=5)


@pytest.mark.parametrize("words", ["--help", "--port", "--port x", "--port=9", "--port 70000", "--port -1", "more"])
def test_whatever_else_is_said_is_left_to_the_command_line(words: str) -> None:
    assert plain_options(words.split()) is None
