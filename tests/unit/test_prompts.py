"""Prompts: exact, and different from their first token on."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tokenforge.bench.prompts import Prefix, PromptMaker, word_prompts
from tokenforge.models.tokenizers import ModelTokenizer, load_tokenizer


class Letters:
    """A tokenizer of one id per letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


def letters(count: int, *, length: int = 20, prefix: int = 0, name: object = 1) -> list[tuple[int, ...]]:
    return PromptMaker(Letters(), name=(name,), prefix=Prefix(tokens=prefix)).ids([length] * count)


@pytest.fixture(scope="session")
def tokenizer(models: Callable[[str], Path]) -> ModelTokenizer:
    return load_tokenizer(models("tiny"))


def test_first_tokens_differ_while_the_vocabulary_lasts() -> None:
    assert len({prompt[0] for prompt in letters(26)}) == 26


def test_after_that_the_first_two_differ() -> None:
    assert len({prompt[:2] for prompt in letters(26 * 26)}) == 26 * 26


def test_after_a_shared_prefix_the_next_token_differs() -> None:
    prompts = letters(26, prefix=8)
    assert len({prompt[:8] for prompt in prompts}) == 1
    assert len({prompt[8] for prompt in prompts}) == 26
    assert {len(prompt) for prompt in prompts} == {20}


def test_prompts_of_one_token_are_as_long_as_asked() -> None:
    assert {len(prompt) for prompt in letters(100, length=1)} == {1}


def test_another_name_gives_other_prompts() -> None:
    assert letters(26, name="trial 0") == letters(26, name="trial 0")
    assert set(letters(26, name="trial 0")).isdisjoint(letters(26, name="trial 1"))


def test_tokens_are_plain_numbers() -> None:
    assert {type(token) for prompt in letters(3) for token in prompt} == {int}


def test_blocks_of_equal_name_are_equal_and_the_rest_is_not() -> None:
    maker = PromptMaker(Letters(), name=(1,))
    first, second = maker.blocks([((7, 8), 40), ((7, 9), 40)], block_tokens=20)
    assert first[:20] == second[:20]
    assert first[20:] != second[20:]


@pytest.mark.parametrize("length", [1, 2, 3, 17, 128])
def test_text_encodes_to_exactly_as_many_tokens(tokenizer: ModelTokenizer, length: int) -> None:
    maker = PromptMaker(tokenizer, name=("text",))
    texts = maker.texts(maker.ids([length] * 20))
    assert {len(tokenizer.encode(text)) for text in texts} == {length}


def test_words_begin_differently_even_when_there_are_more_prompts_than_words() -> None:
    texts = word_prompts([6] * 500, name=(1,))
    assert len({tuple(text.split()[:2]) for text in texts}) == 500
    assert {len(text.split()) for text in texts} == {6}


def test_words_share_a_prefix_when_asked() -> None:
    texts = [text.split() for text in word_prompts([9] * 50, name=(1,), prefix=Prefix(tokens=5))]
    assert all(one[:5] == other[:5] and one[5:7] != other[5:7] for one, other in pairwise(texts))
    assert {len(words) for words in texts} == {9}
