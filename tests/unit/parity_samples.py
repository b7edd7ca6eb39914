"""Recordings of two servers, made by hand."""

import math
from collections.abc import Sequence

from tokenforge.domain.generation import TokenLogprob
from tokenforge.domain.parity import Answer, Recording, Reference, Scores

VOCAB = 1_000


def an_answer(ids: Sequence[int] | None, *, finish: str = "length", text: str = "") -> Answer:
    """An answer of these ids, or of a text."""
    return Answer(
        ids=None if ids is None else tuple(ids),
        text=text,
        finish=finish,
        output_tokens=len(text) if ids is None else len(ids),
    )


def a_row(
    token: int, *, first: float = 0.6, others: Sequence[tuple[int, float]] = ((901, 0.2), (902, 0.1))
) -> TokenLogprob:
    """A place where `token` is likeliest; probabilities, not logarithms."""
    top = ((token, math.log(first)), *((other, math.log(share)) for other, share in others))
    return TokenLogprob(token_id=token, logprob=math.log(first), top=top)


def rows_of(answers: Sequence[Answer]) -> tuple[Scores, ...]:
    """Each token of each answer the likeliest, 901 and 902 behind it."""
    return tuple(tuple(a_row(token) for token in answer.ids or ()) for answer in answers)


def a_recording(
    answers: Sequence[Answer],
    *,
    scores: tuple[Scores, ...] | None = None,
    runtime: str = "ours",
    number_format: str | None = "float32",
    unscored: str | None = None,
) -> Recording:
    """What a server said."""
    return Recording(
        runtime=runtime, number_format=number_format, batch=1, answers=tuple(answers), scores=scores, unscored=unscored
    )


def a_reference(answers: Sequence[Answer], *, scored: bool = True, again: Recording | None = None) -> Reference:
    """A reference that says the same alone and in a batch, unless `again` says otherwise."""
    alone = a_recording(answers, scores=rows_of(answers) if scored else None, runtime="reference")
    prompts = tuple((number,) for number in range(len(answers)))
    return Reference(model="m", prompts=prompts, vocab_size=VOCAB, alone=alone, batched=again or alone)
