"""Conversations: how many turns each has, and prompts that grow turn by turn.

A turn's prompt holds all that was said before it. What the assistant said there is planned text of exactly the planned
output length, not the server's own answer, so every runtime gets equal prompts (docs/decisions/0004).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import numpy as np

from tokenforge.bench.lengths import draw_lengths
from tokenforge.bench.prompt import Prompt
from tokenforge.bench.prompts import Prefix, PromptMaker, PromptTokenizer, word_parts, word_prompts
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.workload import Length

USER, ASSISTANT = "user", "assistant"
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One conversation: the tokens of each user text, and of each answer that is asked for. As many of both."""

    user_tokens: tuple[int, ...]
    answer_tokens: tuple[int, ...]

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all its prompts together: each holds those before it."""
        pairs = accumulate(u + a for u, a in zip(self.user_tokens, self.answer_tokens, strict=True))
        return sum(pairs) - sum(self.answer_tokens)


def draw_turns(turns: Length, *, seed: int, conversations: int, requests: int | None) -> list[int]:
    """Turns of each conversation, at most `conversations` of them; the one that reaches `requests` is the last."""
    drawn: list[int] = draw_lengths(turns, conversations, seed=seed, purpose="turns").tolist()
    return drawn if requests is None else drawn[: int(np.searchsorted(np.cumsum(drawn), requests)) + 1]


def split_talks(turns: Sequence[int], *, users: Sequence[int], answers: Sequence[int]) -> list[Talk]:
    """Lengths of all requests, conversation by conversation, as Talks."""
    ends = accumulate(turns)
    return [
        Talk(user_tokens=tuple(users[end - count : end]), answer_tokens=tuple(answers[end - count : end]))
        for count, end in zip(turns, ends, strict=True)
    ]


def talk_prompts(
    talks: Sequence[Talk], *, seed: int, tokenizer: PromptTokenizer | None, form: PromptForm, prefix: Prefix
) -> list[Prompt]:
    """The prompts of all turns, conversation by conversation. A shared prefix is in a conversation's first text."""
    firsts = [talk.user_tokens[0] for talk in talks]
    later = [length for talk in talks for length in _later(talk)]
    if tokenizer is None:
        texts = word_prompts(firsts, name=(seed,), prefix=prefix)
        words = _dealt(talks, texts, word_parts(later, name=(seed,), purpose="turns"))
        return [prompt for parts in words for prompt in _word_turns(parts, form=form)]
    maker = PromptMaker(tokenizer, name=(seed,), prefix=prefix)
    ids = _dealt(talks, maker.ids(firsts), maker.parts(later, purpose="turns"))
    return [
        prompt
        for number, parts in enumerate(ids)
        for prompt in _turns(maker, parts, form=form, tokenizer=tokenizer, purpose=f"conversation {number}")
    ]


def _later(talk: Talk) -> list[int]:
    """Lengths of what follows the first text: answer, text, answer, text. The last answer is in no prompt."""
    pairs = zip(talk.answer_tokens[:-1], talk.user_tokens[1:], strict=True)
    return [length for pair in pairs for length in pair]


def _dealt(talks: Sequence[Talk], firsts: Sequence[_Part], later: Sequence[_Part]) -> list[list[_Part]]:
    """The parts of each conversation: its first text and what follows."""
    rest = iter(later)
    return [
        [first, *(next(rest) for _ in range(2 * len(talk.user_tokens) - 2))]
        for talk, first in zip(talks, firsts, strict=True)
    ]


def _turns(
    maker: PromptMaker,
    parts: Sequence[tuple[int, ...]],
    *,
    form: PromptForm,
    tokenizer: PromptTokenizer,
    purpose: str,
) -> list[Prompt]:
    if form is PromptForm.TOKEN_IDS:
        said: list[int] = []
        prompts = []
        for number, part in enumerate(parts):
            said += part
            if number % 2 == 0:
                prompts.append(Prompt(ids=tuple(said), tokens=len(said)))
        return prompts
    if form is PromptForm.TEXT:
        answered = [answer + user for answer, user in zip(parts[1::2], parts[2::2], strict=True)]
        texts = maker.joined([parts[0], *answered], purpose=purpose)
        return [Prompt(text=text, tokens=tokens) for text, tokens in texts]
    contents = maker.texts(parts, purpose=purpose)
    tokens = list(accumulate(len(tokenizer.encode(content)) for content in contents))
    return [Prompt(messages=messages, tokens=tokens[2 * turn]) for turn, messages in enumerate(_chats(contents))]


def _word_turns(parts: Sequence[str], *, form: PromptForm) -> list[Prompt]:
    if form is PromptForm.MESSAGES:
        return [Prompt(messages=messages) for messages in _chats(parts)]
    return [Prompt(text=" ".join(parts[: end + 1])) for end in range(0, len(parts), 2)]


def _chats(contents: Sequence[str]) -> list[tuple[tuple[str, str], ...]]:
    """The messages of each turn: user and assistant in turn, a user's last."""
    said = tuple((ASSISTANT if place % 2 else USER, content) for place, content in enumerate(contents))
    return [said[: end + 1] for end in range(0, len(said), 2)]
