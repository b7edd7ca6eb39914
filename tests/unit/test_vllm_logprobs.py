"""Log-probabilities as vLLM gives them, in our words."""

import math
from types import SimpleNamespace

import pytest

from tokenforge.runtimes.vllm_logprobs import read_logprobs


def row(**logprobs: float) -> dict[int, SimpleNamespace]:
    """As vLLM keys them: by token id."""
    return {int(name[1:]): SimpleNamespace(logprob=value) for name, value in logprobs.items()}


def test_the_likeliest_token_comes_first() -> None:
    (told,) = read_logprobs([7], [row(t7=-1.5, t3=-0.5, t9=-2.0)])
    assert (told.token_id, told.logprob) == (7, -1.5)
    assert told.top == ((3, -0.5), (7, -1.5), (9, -2.0))


def test_a_token_that_is_not_among_them_is_impossible() -> None:
    (told,) = read_logprobs([7], [row(t3=-0.5)])
    assert told.logprob == -math.inf


def test_nothing_given_is_nothing_told() -> None:
    assert read_logprobs([7, 8], None) == ()


def test_fewer_rows_than_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        read_logprobs([7, 8], [row(t7=-1.0)])
