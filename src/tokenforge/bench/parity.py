"""Measure parity: the same prompts to two servers, answers and log-probabilities back, and a judgement.

Greedy throughout. The reference is asked twice, alone and in a batch, so that its own noise is known before a
difference is held against the other. The two need not be up at the same time: record one, then the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.analysis.parity import judge_parity
from tokenforge.bench.parity_client import ParityClient
from tokenforge.bench.prompts import PromptMaker
from tokenforge.bench.targets import Target
from tokenforge.domain.errors import Fault, InvalidInput, InvalidRequest, TokenForgeError
from tokenforge.domain.parity import Answer, ParityResult, Recording, Reference, Scores, not_measured
from tokenforge.domain.plan import PromptForm


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityAsk:
    """How much is asked: `prompts` answers of up to `tokens` tokens, at most `batch` at once, `top` alternatives.

    Prompts are drawn by `seed`, of four lengths up to `prompt_tokens`.
    """

    prompts: int = 16
    tokens: int = 32
    prompt_tokens: int = 64
    batch: int = 8
    top: int = 20
    seed: int = 0


async def measure_parity(reference: Target, candidate: Target, ask: ParityAsk) -> ParityResult:
    """Both servers run: record and judge. A server that cannot be asked makes the result NOT MEASURED, not an error."""
    try:
        recorded = await record_reference(reference, ask, as_text=needs_text(reference, candidate))
        return judge_parity(recorded, await record_candidate(candidate, ask, recorded))
    except TokenForgeError as error:
        return not_measured(
            model=reference.model,
            reference=reference.runtime,
            candidate=candidate.runtime,
            code=error.code,
            why=" ".join(error.message.split()),
        )


def needs_text(*targets: Target) -> bool:
    """Whether one of them takes text only; then all are sent text, so that all see the same prompt."""
    return any(target.form is not PromptForm.TOKEN_IDS for target in targets)


async def record_reference(
    target: Target, ask: ParityAsk, *, as_text: bool = False, prompts: Sequence[tuple[int, ...]] | None = None
) -> Reference:
    """Ask the reference alone and in a batch, and have it score its own answers. `prompts` None draws them.

    Raises TokenForgeError when the server cannot be asked.
    """
    if target.tokenizer is None:
        hint = "give the model's folder"
        raise InvalidInput([Fault(field="tokenizer", value=None, message="is needed to make prompts", hint=hint)])
    drawn = _draw(target, ask) if prompts is None else tuple(prompts)
    texts = tuple(target.tokenizer.decode(ids) for ids in drawn) if as_text else None
    alone = await _record(target, ask, prompts=drawn, texts=texts, batch=1)
    batched = await _record(target, ask, prompts=drawn, texts=texts, batch=ask.batch, scored=alone.answers)
    return Reference(
        model=target.model,
        prompts=drawn,
        texts=texts,
        vocab_size=max(target.tokenizer.plain_ids) + 1,
        alone=alone,
        batched=batched,
    )


async def record_candidate(target: Target, ask: ParityAsk, reference: Reference) -> Recording:
    """Ask the candidate the same, and have it score the reference's answers. Raises as `record_reference` does."""
    return await _record(
        target,
        ask,
        prompts=reference.prompts,
        texts=reference.texts,
        batch=ask.batch,
        scored=reference.alone.answers,
    )


async def _record(
    target: Target,
    ask: ParityAsk,
    *,
    prompts: Sequence[tuple[int, ...]],
    texts: Sequence[str] | None,
    batch: int,
    scored: Sequence[Answer] | None = None,
) -> Recording:
    """What one server says. `scored` are the answers it scores, its own when None."""
    async with ParityClient(target, batch=batch) as client:
        answers = await client.answers(texts or prompts, tokens=ask.tokens)
        scores, unscored = await _scores(client, target, prompts, answers if scored is None else scored, top=ask.top)
    return Recording(
        runtime=target.runtime,
        number_format=_number_format(target),
        batch=batch,
        answers=answers,
        scores=scores,
        unscored=unscored,
        is_simulated=(target.engine or {}).get("simulated") is True,
    )


async def _scores(
    client: ParityClient, target: Target, prompts: Sequence[tuple[int, ...]], answers: Sequence[Answer], *, top: int
) -> tuple[tuple[Scores, ...] | None, str | None]:
    """The scores, or why there are none."""
    if target.form is not PromptForm.TOKEN_IDS:
        return None, "it takes no token ids"
    if any(answer.ids is None for answer in answers):
        return None, "the answers to be scored came without token ids"
    if not _can_score(target):
        return None, "its engine cannot score given tokens"
    try:
        return await client.scores(prompts, answers, top=top), None
    except InvalidRequest as error:
        return None, " ".join(error.message.split())


def _draw(target: Target, ask: ParityAsk) -> tuple[tuple[int, ...], ...]:
    """Prompts of a quarter, half, three quarters and all of the length that the window leaves."""
    assert target.tokenizer is not None
    most = ask.prompt_tokens if target.window is None else min(ask.prompt_tokens, target.window - ask.tokens - 1)
    if most < 1:
        message = f"leaves no prompt in the window of {target.window}"
        raise InvalidInput([Fault(field="--tokens", value=ask.tokens, message=message, hint="ask for fewer")])
    lengths = [max(1, most * (1 + number % 4) // 4) for number in range(ask.prompts)]
    return tuple(PromptMaker(target.tokenizer, name=(ask.seed, "parity")).ids(lengths))


def _can_score(target: Target) -> bool:
    """What the engine says; one that says nothing is asked."""
    told = (target.engine or {}).get("capabilities")
    return bool(told.get("prompt_logprobs")) if isinstance(told, dict) else True


def _number_format(target: Target) -> str | None:
    details = (target.engine or {}).get("details")
    told = details.get("dtype") if isinstance(details, dict) else None
    return told if isinstance(told, str) else None
