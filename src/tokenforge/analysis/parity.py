"""Do two runtimes say the same? The judgement, from what each answered to the same prompts. Pure.

First the reference against itself, alone and in a batch: that is the noise floor. Then the candidate against the
reference. It fails only beyond the floor and what the coarser of the two number formats explains.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tokenforge.analysis import parity_noise as noise
from tokenforge.analysis.parity_answers import Judges, endings, finish_excess, free_running, length_excess
from tokenforge.analysis.parity_scores import mean_abs_dlogprob, spread, teacher_forced
from tokenforge.domain.parity import (
    FreeRunning,
    ParityReason,
    ParityResult,
    ParityVerdict,
    Recording,
    Reference,
    TeacherForced,
    not_measured,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measures:
    """Everything measured. `allowance` is None where the two could not be held against each other on equal tokens."""

    free: FreeRunning
    free_floor: FreeRunning
    forced: TeacherForced | None
    forced_floor: TeacherForced | None
    allowance: noise.Allowance | None
    leads: noise.Leads
    longer: float
    endings_moved: float


def judge_parity(reference: Reference, candidate: Recording) -> ParityResult:
    """PASS, FAIL or NOT MEASURED, with reasons. `candidate` answered the reference's prompts and scored its answers."""
    name, other = _names(reference.alone.runtime, candidate.runtime)
    if not reference.prompts:
        return not_measured(
            model=reference.model, reference=name, candidate=other, code="no_prompts", why="no prompt was asked"
        )
    form = noise.coarser_format(reference.alone.number_format, candidate.number_format)
    found = _measure(reference, candidate, form)
    reasons, verdict = _verdict(found, name=name, other=other)
    return ParityResult(
        verdict=verdict,
        sentence=_sentence(verdict, found, reasons, name=name, other=other),
        model=reference.model,
        reference=reference.alone.runtime,
        candidate=candidate.runtime,
        number_format=form,
        reasons=reasons,
        notes=tuple(_notes(reference, candidate, names=(name, other))),
        free=found.free,
        free_floor=found.free_floor,
        forced=found.forced,
        forced_floor=found.forced_floor,
        endings=endings(reference.alone.answers, candidate.answers),
        limits=_limits(found),
    )


def _measure(reference: Reference, candidate: Recording, form: str) -> _Measures:
    alone, batched = reference.alone, reference.batched
    mine, again, theirs = alone.scores, batched.scores, candidate.scores
    own = noise.coarser_format(alone.number_format, alone.number_format)
    floor_nats = mean_abs_dlogprob(mine, again) if mine is not None and again is not None else 0.0
    stands = spread(mine or theirs or (), vocab_size=reference.vocab_size) or 0.0
    leads = noise.leads(form, spread_nats=stands, floor_nats=floor_nats)
    own_leads = noise.leads(own, spread_nats=stands, floor_nats=floor_nats)
    forced = forced_floor = None
    if mine is not None and again is not None:
        forced_floor = teacher_forced(mine, again, vocab_size=reference.vocab_size, clear_nats=own_leads.clear_nats)
    if mine is not None and theirs is not None and forced_floor is not None:
        forced = teacher_forced(mine, theirs, vocab_size=reference.vocab_size, clear_nats=leads.clear_nats)
    return _Measures(
        free=free_running(
            alone.answers, candidate.answers, Judges(reference=mine, candidate=theirs, tie_nats=leads.tie_nats)
        ),
        free_floor=free_running(
            alone.answers, batched.answers, Judges(reference=mine, candidate=again, tie_nats=own_leads.tie_nats)
        ),
        forced=forced,
        forced_floor=forced_floor,
        allowance=noise.allowance(form, forced_floor) if forced is not None and forced_floor is not None else None,
        leads=leads,
        longer=length_excess(alone.answers, candidate.answers),
        endings_moved=finish_excess(alone.answers, candidate.answers),
    )


def _verdict(found: _Measures, *, name: str, other: str) -> tuple[tuple[ParityReason, ...], ParityVerdict]:
    if noise.is_unsteady(found.forced_floor, hard_rate=found.free_floor.hard_rate):
        sentence = f"{name} differs from itself, alone and in a batch, too much to hold anything against {other}."
        reason = ParityReason(code="reference_unsteady", sentence=sentence, value=found.free_floor.hard_rate)
        return (reason,), ParityVerdict.NOT_MEASURED
    faults = tuple(_faults(found, name=name, other=other))
    if faults:
        return faults, ParityVerdict.FAIL
    if found.free.unjudged and found.forced is None:
        sentence = (
            f"{found.free.unjudged} of {found.free.prompts} answers differ, and neither side gives the "
            "log-probabilities that would tell a near-tie from a fault."
        )
        return (ParityReason(code="differences_unjudged", sentence=sentence, value=found.free.unjudged),), (
            ParityVerdict.NOT_MEASURED
        )
    return (), ParityVerdict.PASS


def _faults(found: _Measures, *, name: str, other: str) -> Iterator[ParityReason]:
    """Every number beyond its limit, the most telling first."""
    forced, allowed = found.forced, found.allowance
    if forced is not None and allowed is not None:
        if forced.mean_abs_dlogprob > (limit := allowed.mean_abs_dlogprob):
            value = forced.mean_abs_dlogprob
            sentence = (
                f"After the same tokens {other} gives log-probabilities that are {value:.2g} nats off on average; "
                f"the noise of {name} and of {allowed.number_format} explains {limit:.2g}."
            )
            yield ParityReason(code="logprobs_differ", sentence=sentence, value=value, limit=limit)
        if forced.kl_share > (limit := allowed.kl_share):
            value = forced.kl_share
            sentence = (
                f"The probabilities of {other} are {value:.2g} of the way from those of {name} to knowing nothing; "
                f"noise explains {limit:.2g}."
            )
            yield ParityReason(code="distributions_differ", sentence=sentence, value=value, limit=limit)
        if forced.clear_disagreement > (limit := allowed.clear_disagreement):
            value = forced.clear_disagreement
            sentence = (
                f"At {value:.1%} of the places {other} chooses another token though {name} was sure of its own; "
                f"{limit:.1%} is allowed."
            )
            yield ParityReason(code="choices_differ", sentence=sentence, value=value, limit=limit)
    yield from _answer_faults(found, name=name, other=other)


def _answer_faults(found: _Measures, *, name: str, other: str) -> Iterator[ParityReason]:
    free = found.free
    if free.hard_rate > (limit := found.free_floor.hard_rate + noise.HARD_SHARE):
        sentence = f"{free.hard} of {free.prompts} answers of {other} leave those of {name} where no near-tie was."
        yield ParityReason(code="answers_differ", sentence=sentence, value=free.hard_rate, limit=limit)
    if found.longer > (limit := noise.ENDING_SHARE):
        sentence = f"The answers of {other} differ in length from those of {name} by at least {found.longer:.0%}."
        yield ParityReason(code="lengths_differ", sentence=sentence, value=found.longer, limit=limit)
    if found.endings_moved > (limit := noise.ENDING_SHARE):
        sentence = f"At least {found.endings_moved:.0%} of the answers of {other} end for another reason."
        yield ParityReason(code="endings_differ", sentence=sentence, value=found.endings_moved, limit=limit)


def _limits(found: _Measures) -> dict[str, float]:
    limits = dict(found.allowance.as_limits()) if found.allowance is not None else {}
    limits |= {"clear_nats": found.leads.clear_nats, "tie_nats": found.leads.tie_nats}
    limits["hard_rate"] = found.free_floor.hard_rate + noise.HARD_SHARE
    return limits | {"length": noise.ENDING_SHARE, "finish": noise.ENDING_SHARE}


def _notes(reference: Reference, candidate: Recording, *, names: tuple[str, str]) -> Iterator[str]:
    """What was not looked at, or only in part."""
    for name, one in zip(names, (reference.alone, candidate), strict=True):
        if one.is_simulated:
            yield f"{name} is simulated: its answers say nothing of a model."
        if one.unscored is not None:
            yield f"{name} was compared by its answers alone: {one.unscored}."
        if one.number_format is None:
            yield f"{name} does not say its number format: {noise.WIDEST} is allowed for."
        if any(answer.ids is None for answer in one.answers):
            yield f"{name} gives no token ids: its texts were compared."
    if all(answer.finish != "stop" for answer in (*reference.alone.answers, *candidate.answers)):
        yield "No answer came to an end of its own: a wrong end token would not be seen. Ask for more tokens."


def _names(name: str, other: str) -> tuple[str, str]:
    """The two runtimes as sentences call them; of equal ones it is said which is which."""
    return (f"{name} (A)", f"{other} (B)") if name == other else (name, other)


def _sentence(
    verdict: ParityVerdict, found: _Measures, reasons: tuple[ParityReason, ...], *, name: str, other: str
) -> str:
    if verdict is ParityVerdict.FAIL:
        return f"{other} does not say the same as {name}. {reasons[0].sentence}"
    if verdict is ParityVerdict.NOT_MEASURED:
        return f"Whether {other} says the same as {name} was not measured. {reasons[0].sentence}"
    free = found.free
    text = f"{other} says the same as {name}: {free.exact} of {free.prompts} answers are equal to the last token"
    if free.exact < free.prompts:
        text += ", the others part at near-ties"
    if found.forced is not None and found.allowance is not None:
        off, limit = found.forced.mean_abs_dlogprob, found.allowance.mean_abs_dlogprob
        text += f"; after the same tokens its log-probabilities are {off:.2g} nats off on average, {limit:.2g} allowed"
    return text + "."
