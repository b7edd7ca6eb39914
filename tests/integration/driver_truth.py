"""The truth server as a test sees it: the one of the benchmarks; a test is skipped where it cannot be compiled."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.truth import NoCompiler, TrueAnswer, TruthServer, compiled
from harness.truth import truth_server as start

__all__ = ["TrueAnswer", "TruthServer", "truth_server"]


@contextlib.contextmanager
def truth_server(folder: Path, *options: str) -> Iterator[TruthServer]:
    """A server on a free port with `options` as in its source; ended with the block."""
    try:
        compiled()
    except NoCompiler as error:
        pytest.skip(str(error))
    with start(folder, *options) as server:
        yield server
