"""Parity: whether two runtimes say the same. What each said, in tokens and log-probabilities, and what came of it.

The reference is A, the candidate B. Log-probabilities are natural; what was not measured is None, never zero.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.domain.generation import TokenLogprob

PARITY_SCHEMA = "tokenforge.parity/1"

Scores = tuple[TokenLogprob, ...]
"""The log-probability of each token of one answer given all tokens before it, with the most likely alternatives."""


class ParityVerdict(enum.StrEnum):
    """PASS: no difference beyond what number formats and batch sizes explain. NOT MEASURED: nothing could be judged."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_MEASURED = "NOT MEASURED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One greedy answer. `ids` are None where the server gives no token ids; `text` is compared then."""

    ids: tuple[int, ...] | None
    text: str
    finish: str | None
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What one server answered to the prompts, `batch` of them at once.

    `number_format` is what it says it computes in (`bfloat16`), None when it does not say. `scores` are those of the
    reference's answers, one per prompt; None where the server cannot score, and `unscored` says why. `is_simulated`: no
    model computes its tokens.
    """

    runtime: str
    number_format: str | None
    batch: int
    answers: tuple[Answer, ...]
    scores: tuple[Scores, ...] | None = None
    unscored: str | None = None
    is_simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference twice: answering one at a time, and in a batch. What differs between the two is its noise floor.

    `texts` are the prompts as text, where one of the two servers takes no token ids.
    """

    model: str
    prompts: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...] | None = None
    vocab_size: int
    alone: Recording
    batched: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeRunning:
    """Answers side by side. `first_divergence` is the median place of the first different token, from 0.

    A difference is `benign` when the other token was nearly as likely, `hard` when not, `unjudged` without scores.
    """

    prompts: int
    exact: int
    benign: int
    hard: int
    unjudged: int
    first_divergence: float | None

    @property
    def exact_rate(self) -> float:
        """The share of answers that are equal to the last token."""
        return self.exact / self.prompts

    @property
    def hard_rate(self) -> float:
        """The share of answers with a difference that near-ties do not explain."""
        return self.hard / self.prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherForced:
    """Both engines on the same tokens. `spread_nats`: how far the reference's first choice stands above chance.

    `top1_agreement` is the share of places with the same first choice; `clear_disagreement` the share where the
    reference liked its own choice better by more than the noise allowed. `kl_share` is the divergence on the top
    choices and the tail, over the divergence of the reference from knowing nothing.
    """

    tokens: int
    top1_agreement: float
    clear_disagreement: float
    mean_abs_dlogprob: float
    kl_nats: float
    kl_share: float
    spread_nats: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """How long answers were, in tokens on average, and the share of each finish reason."""

    reference_tokens: float
    candidate_tokens: float
    reference_finish: Mapping[str, float]
    candidate_finish: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReason:
    """Why it failed or was not measured: a stable code, a sentence for people, the number and what was allowed."""

    code: str
    sentence: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityResult:
    """The answer to "do they say the same?". `sentence` is the whole of it in plain words; `notes` say what is unseen.

    `number_format` is the coarser of the two, whose rounding is allowed for; `limits` what each number may be at most.
    """

    schema: str = PARITY_SCHEMA
    verdict: ParityVerdict
    sentence: str
    model: str
    reference: str
    candidate: str
    number_format: str | None = None
    reasons: tuple[ParityReason, ...] = ()
    notes: tuple[str, ...] = ()
    free: FreeRunning | None = None
    free_floor: FreeRunning | None = None
    forced: TeacherForced | None = None
    forced_floor: TeacherForced | None = None
    endings: Endings | None = None
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def can_win(self) -> bool:
        """Whether the candidate may be called better: a runtime that changed the output cannot."""
        return self.verdict is not ParityVerdict.FAIL


def not_measured(*, model: str, reference: str, candidate: str, code: str, why: str) -> ParityResult:
    """A result that says why there is none. `why` is a clause: `B answers with errors`."""
    return ParityResult(
        verdict=ParityVerdict.NOT_MEASURED,
        sentence=f"Whether {candidate} says the same as {reference} was not measured: {why}.",
        model=model,
        reference=reference,
        candidate=candidate,
        reasons=(ParityReason(code=code, sentence=f"{why[:1].upper()}{why[1:]}."),),
    )
