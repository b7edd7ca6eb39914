"""Prompts of an exact length in the target's own tokens, all different, so that no cache is warm by accident.

Random ids of whole characters, sent as ids where the server takes them, else as text whose encoding was checked and
mended to the exact count. Without a tokenizer, words: their number is near the wish, and the exact count is unknown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tokenforge.bench.chance import stream

Ids = npt.NDArray[np.object_]

_MEND_ROUNDS = 64
_NEAR_CHARS = 64
_WORDS = (
    "river stone cloud paper light green train window market silver garden bridge winter summer letter number "
    "simple quiet gentle narrow bright early famous single second future common public signal method record"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """`tokens` that prompts begin with. Each prompt takes those of one of `groups`, drawn by the seed."""

    tokens: int = 0
    groups: int = 1


NO_PREFIX = Prefix()


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
    """Makes the prompts of one trial. `name` seeds it; the same name and lengths give the same prompts anywhere.

    `prefix` is what prompts begin with: nothing, one text for all, or that of one of several groups.
    """

    def __init__(self, tokenizer: PromptTokenizer, *, name: Sequence[object], prefix: Prefix = NO_PREFIX) -> None:
        self._tokenizer = tokenizer
        self._name = tuple(name)
        self._plain = np.array(tokenizer.plain_ids, dtype=np.object_)  # shared ints: a quarter of the memory
        self._prefixes = [self._draw(prefix.tokens, _group_name(group)).tolist() for group in range(prefix.groups)]
        self._prefix_tokens = prefix.tokens

    def ids(self, lengths: Sequence[int]) -> list[tuple[int, ...]]:
        """One prompt per length, drawn in one go; a shared prefix comes first and counts.

        What follows the prefix begins with another token in each prompt, while the vocabulary lasts, and with another
        pair of tokens after that: not even one token is in a prefix cache by accident.
        """
        bodies = [max(1, length - self._prefix_tokens) if self._prefix_tokens else length for length in lengths]
        drawn = self._draw(sum(bodies), "bodies")
        ends = np.cumsum(bodies, dtype=np.int64)
        sizes = np.asarray(bodies, dtype=np.int64)
        self._set_heads(drawn, starts=ends - sizes, lengths=sizes)
        groups = _groups(len(lengths), len(self._prefixes), name=self._name)
        return [
            tuple(self._prefixes[group][: length - body] + drawn[end - body : end].tolist())
            for length, body, end, group in zip(lengths, bodies, ends, groups, strict=True)
        ]

    def parts(self, lengths: Sequence[int], *, purpose: str) -> list[tuple[int, ...]]:
        """Tokens that continue something: no prefix, no head of their own."""
        drawn, ends = self._draw(sum(lengths), purpose).tolist(), np.cumsum(lengths, dtype=np.int64).tolist()
        return [tuple(drawn[end - length : end]) for length, end in zip(lengths, ends, strict=True)]

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

    def texts(self, prompts: Sequence[tuple[int, ...]], *, purpose: str = "text") -> list[str]:
        """Each prompt as text that encodes to exactly as many tokens."""
        return [self._text(ids, f"{purpose} {number}") for number, ids in enumerate(prompts)]

    def joined(self, parts: Sequence[tuple[int, ...]], *, purpose: str) -> list[tuple[str, int]]:
        """Texts that each begin with the one before, part after part, with their tokens: those of all parts so far.

        A part is mended against the end of what stands before it, which is quick, and against all of it where that was
        not enough: a long text is seldom encoded twice.
        """
        texts: list[tuple[str, int]] = []
        before, tokens = "", 0
        for number, ids in enumerate(parts):
            tokens += len(ids)
            near = before[-_NEAR_CHARS:]
            wanted = len(self._tokenizer.encode(near)) + len(ids)
            text = before + self._text(ids, f"{purpose} {number}", before=near, wanted=wanted)[len(near) :]
            if (count := len(self._tokenizer.encode(text))) != tokens:
                text = self._text(ids, f"{purpose} {number}", before=before, wanted=tokens)
                count = len(self._tokenizer.encode(text))
            before = text
            texts.append((text, count))
        return texts

    def _text(self, ids: tuple[int, ...], purpose: str, *, before: str = "", wanted: int | None = None) -> str:
        """Decode, count, mend: neighbours may have merged, so draw more at the end or cut until the count is right."""
        wanted, tokens = len(ids) if wanted is None else wanted, list(ids)
        spare = self._draw(_MEND_ROUNDS, purpose).tolist()
        for extra in spare:
            text = before + self._tokenizer.decode(tokens)
            count = len(self._tokenizer.encode(text))
            if count == wanted:
                return text
            tokens = [*tokens, extra] if count < wanted else tokens[: max(0, len(tokens) - (count - wanted))]
        return before + self._tokenizer.decode(tokens)

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


def word_prompts(lengths: Sequence[int], *, name: Sequence[object], prefix: Prefix = NO_PREFIX) -> list[str]:
    """Texts of about `length` tokens (one word each), for a server whose tokenizer is unknown.

    After the shared prefix, which counts, each begins with other words than all the rest, as far as its length allows.
    """
    chance, words = stream(*name, "words"), _WORDS.split()
    chances = [chance, *(stream(*name, "words", _group_name(group)) for group in range(1, prefix.groups))]
    heads = [[words[pick] for pick in each.integers(0, len(words), size=prefix.tokens)] for each in chances]
    groups = _groups(len(lengths), prefix.groups, name=name)
    texts: list[str] = []
    for number in chance.permutation(len(lengths)).tolist():
        length, begin = lengths[len(texts)], heads[groups[len(texts)]]
        body = chance.integers(0, len(words), size=max(1, length - len(begin))).tolist()
        head = _digits(number, base=len(words), count=_width(len(lengths), base=len(words)))[: len(body)]
        body[: len(head)] = head
        texts.append(" ".join([*begin[: length - len(body)], *(words[pick] for pick in body)]))
    return texts


def word_parts(lengths: Sequence[int], *, name: Sequence[object], purpose: str) -> list[str]:
    """Texts of `length` words each that continue something."""
    chance, words = stream(*name, "words", purpose), _WORDS.split()
    return [" ".join(words[pick] for pick in chance.integers(0, len(words), size=length)) for length in lengths]


def _groups(count: int, groups: int, *, name: Sequence[object]) -> list[int]:
    """The prefix group of each prompt."""
    picks: list[int] = stream(*name, "prompts", "groups").integers(0, groups, size=count).tolist()
    return picks


def _group_name(group: int) -> str:
    return f"prefix {group}" if group else "prefix"


def _width(count: int, *, base: int) -> int:
    """Digits that `count` numbers need."""
    width = 1
    while base**width < count:
        width += 1
    return width


def _digits(number: int, *, base: int, count: int) -> list[int]:
    return [number // base**place % base for place in range(count)]
