"""Prompt: what one planned request will say, in the form in which it travels."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.bench.prompts import PromptMaker, PromptTokenizer
from tokenforge.domain.plan import PromptForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Exactly one of `ids`, `text` and `messages` (role, content). `tokens` is its length, None when not known."""

    ids: tuple[int, ...] | None = None
    text: str | None = None
    messages: tuple[tuple[str, str], ...] | None = None
    tokens: int | None = None


def formed(
    maker: PromptMaker, ids: Sequence[tuple[int, ...]], form: PromptForm, tokenizer: PromptTokenizer
) -> list[Prompt]:
    """Drawn ids as they are, or as texts of as many tokens."""
    if form is PromptForm.TOKEN_IDS:
        return [Prompt(ids=one, tokens=len(one)) for one in ids]
    return [Prompt(text=text, tokens=len(tokenizer.encode(text))) for text in maker.texts(ids)]
