"""Prompts of an exact length in the target's own tokens, all different, so that no cache is warm by accident.

Random ids of whole characters, sent as ids where the server takes them, else as text whose encoding was checked and
mended to the exact count. Without a tokenizer, words: their number is near the wish, and the exact count is unknown.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tokenforge.bench.chance import stream

Ids = npt.NDArray[np.object_]

_MEND_ROUNDS = 64
_WORDS = (
    "river stone cloud paper light green train window market silver garden bridge winter summer letter number "
    "simple quiet gentle narrow bright early famous single second future common public signal method record"
)


class PromptTokenizer(Protocol):
    """What prompts need of a tokenizer. `plain_ids` stand for whole characters each and encode back to themselves."""

    @property
    def plain_ids(self) -> tuple[int, ...]:
        """Ids to draw from."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        ...


class PromptMaker:
    """Makes the prompts of one trial. `name` seeds it; the same name and lengths give the same prompts anywhere."""

    def __init__(self, tokenizer: PromptTokenizer, *, name: Sequence[object], shared_prefix_tokens: int = 0) -> None:
        self._tokenizer = tokenizer
        self._name = tuple(name)
        self._plain = np.array(tokenizer.plain_ids, dtype=np.object_)  # shared ints: a quarter of the memory
        self._prefix = self._draw(shared_prefix_tokens, "prefix")

    def ids(self, lengths: Sequence[int]) -> list[tuple[int, ...]]:
        """One prompt per length, drawn in one go; a shared prefix comes first and counts.

        What follows the prefix begins with another token in each prompt, while the vocabulary lasts, and with another
        pair of tokens after that: not even one token is in a prefix cache by accident.
        """
        bodies = [max(1, length - len(self._prefix)) if self._prefix.size else length for length in lengths]
        drawn = self._draw(sum(bodies), "bodies")
        ends = np.cumsum(bodies, dtype=np.int64)
        sizes = np.asarray(bodies, dtype=np.int64)
        self._set_heads(drawn, starts=ends - sizes, lengths=sizes)
        prefix = self._prefix.tolist()
        return [
            tuple(prefix[: length - body] + drawn[end - body : end].tolist())
            for length, body, end in zip(lengths, bodies, ends, strict=True)
        ]

    def blocks(self, rows: Sequence[tuple[Sequence[int], int]], *, block_tokens: float) -> list[tuple[int, ...]]:
        """Prompts made of named blocks: equal block ids give equal tokens. A row is (block ids, length).

        A scaled block may be a fraction of tokens long: the k-th ends at the whole tokens of k blocks, so the blocks
        cover a scaled prompt to its end.
        """
        made: dict[int, list[int]] = {}
        prompts = []
        for number, (ids, length) in enumerate(rows):
            tokens: list[int] = []
            for place, block in enumerate(ids, start=1):
                if block not in made:
                    made[block] = self._draw(math.ceil(block_tokens), f"block {block}").tolist()
                tokens += made[block][: int(place * block_tokens) - len(tokens)]
            if len(tokens) < length:
                tokens += self._draw(length - len(tokens), f"rest {number}").tolist()
            prompts.append(tuple(tokens[:length]))
        return prompts

    def texts(self, prompts: Sequence[tuple[int, ...]]) -> list[str]:
        """Each prompt as text that encodes to exactly as many tokens."""
        return [self._text(ids, f"text {number}") for number, ids in enumerate(prompts)]

    def _text(self, ids: tuple[int, ...], purpose: str) -> str:
        """Decode, count, mend: neighbours may have merged, so draw more at the end or cut until the count is right."""
        wanted, tokens = len(ids), list(ids)
        spare = self._draw(_MEND_ROUNDS, purpose).tolist()
        for extra in spare:
            text = self._tokenizer.decode(tokens)
            count = len(self._tokenizer.encode(text))
            if count == wanted:
                return text
            tokens = [*tokens, extra] if count < wanted else tokens[: len(tokens) - (count - wanted)]
        return self._tokenizer.decode(tokens)

    def _set_heads(self, drawn: Ids, *, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> None:
        chance, width = stream(*self._name, "prompts", "heads"), len(self._plain)
        number = np.arange(len(starts))
        drawn[starts] = self._plain[chance.permutation(width)[number % width]]
        if len(starts) > width:
            long = lengths > 1
            drawn[starts[long] + 1] = self._plain[chance.permutation(width)[number[long] // width % width]]

    def _draw(self, count: int, purpose: str) -> Ids:
        chance = stream(*self._name, "prompts", purpose)
        return self._plain[chance.integers(0, len(self._plain), size=count)]


def word_prompts(lengths: Sequence[int], *, name: Sequence[object], shared_prefix_words: int = 0) -> list[str]:
    """Texts of about `length` tokens (one word each), for a server whose tokenizer is unknown.

    After the shared prefix, which counts, each begins with other words than all the rest, as far as its length allows.
    """
    chance, words = stream(*name, "words"), _WORDS.split()
    prefix = [words[pick] for pick in chance.integers(0, len(words), size=shared_prefix_words)]
    texts: list[str] = []
    for number in chance.permutation(len(lengths)).tolist():
        length = lengths[len(texts)]
        body = chance.integers(0, len(words), size=max(1, length - len(prefix))).tolist()
        head = _digits(number, base=len(words), count=_width(len(lengths), base=len(words)))[: len(body)]
        body[: len(head)] = head
        texts.append(" ".join([*prefix[: length - len(body)], *(words[pick] for pick in body)]))
    return texts


def _width(count: int, *, base: int) -> int:
    """Digits that `count` numbers need."""
    width = 1
    while base**width < count:
        width += 1
    return width


def _digits(number: int, *, base: int, count: int) -> list[int]:
    return [number // base**place % base for place in range(count)]
