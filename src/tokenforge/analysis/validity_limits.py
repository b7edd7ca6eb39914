"""Is a result more than the hardware can do? Then it is not what it says, whatever produced it.

The judge takes the engine's side everywhere: the highest ceiling known, weights and cache read once per chunk of tokens
however many it held, the fewest experts that routing allows, nothing read that a cache could hold, no arithmetic for
what was cached. What is still too fast can't have happened. A vendor's peak is hard; a ceiling measured here may have
been measured on a busy day, so that one alone accuses only far beyond it, and raises doubt before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.limit_basis import LimitBasis, NoBasis
from tokenforge.analysis.limit_load import TrialLoad
from tokenforge.analysis.limits import Machine, Work, decode_attention_flop, floor_s, prefill_flop, weight_bytes
from tokenforge.analysis.requests import Floats
from tokenforge.analysis.run_limits import batch_of, prefill_flop_per_s
from tokenforge.analysis.trials import Trial
from tokenforge.domain.ceilings import CeilingKind

_OVER = 1.05
_OVER_MEASURED = 1.5
_LOOKS = 5000
_CAUSES = (
    "Likely causes: prompts or answers from a cache, answers cut short, tokens counted wrongly, or another model than "
    "the one named."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One thing that was too fast: how many times its limit, and the sentence that says it."""

    excess: float
    sentence: str


def doubt_limits(
    run: RunFacts, basis: LimitBasis | NoBasis, trials: Sequence[Trial], loads: Sequence[TrialLoad]
) -> Iterator[Reason]:
    """The gravest of what is faster than the hardware allows. `loads` are those of the trials that have one."""
    if isinstance(basis, NoBasis) or not loads:
        return
    judge = _Judge(basis=basis, is_shared=run.workload.has_shared_prompts, per_chunk=_tokens_per_chunk(trials))
    worst = max((judge.rate(loads), judge.first_token(trials), judge.step(trials, loads)), key=lambda one: one.excess)
    if worst.excess > _OVER:
        has_peak = any(one.kind is CeilingKind.VENDOR for one in basis.ceilings)
        whose = "the vendor's peak allows" if has_peak else "this machine's measured ceilings allow"
        is_sure = basis.model.is_known and worst.excess > (_OVER if has_peak else _OVER_MEASURED)
        yield reason(
            "physically_impossible",
            Level.INVALID if is_sure else Level.SUSPECT,
            f"{worst.sentence}, {worst.excess:.3g} times faster than {whose}.",
            " ".join([_CAUSES, *_excuses(basis, has_peak=has_peak)]),
            excess=worst.excess,
            limit=_OVER,
        )


def _excuses(basis: LimitBasis, *, has_peak: bool) -> Iterator[str]:
    """What may be wrong with the limit itself."""
    if not has_peak:
        yield "Or the ceilings were measured on a busy machine: measure them again."
    if not basis.model.is_known:
        yield f"Or {basis.model.family} needs less than the common layout that it was counted as."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    basis: LimitBasis
    is_shared: bool
    per_chunk: float

    @property
    def machine(self) -> Machine:
        """The highest ceilings known."""
        machines = [self.basis.machine(one) for one in self.basis.ceilings]
        return Machine(
            flops=max((one.flops for one in machines if one.flops is not None), default=None),
            bytes_per_s=max(one.bytes_per_s for one in machines),
        )

    def rate(self, loads: Sequence[TrialLoad]) -> _Case:
        """Tokens per second, over the whole window."""
        shares = [floor_s(self._second(load), self.machine) for load in loads]
        made = float(np.mean([load.decoded_per_s for load in loads]))
        read = float(np.mean([load.fresh_per_s or 0.0 for load in loads]))
        said = f"{made:,.0f} tokens were made and {read:,.0f} prompt tokens a second worked off"
        return _Case(excess=float(np.mean(shares)), sentence=said)

    def first_token(self, trials: Sequence[Trial]) -> _Case:
        """The median request's first token, against the arithmetic of its own prompt."""
        flops = self.machine.flops
        floors, waits = (
            np.concatenate(parts) for parts in zip(*(self._first_tokens(one) for one in trials), strict=True)
        )
        if not flops or not len(waits):
            return _Case(excess=0.0, sentence="")
        said = f"The median first token came {np.median(waits) * 1e3:.3g} ms after its request"
        return _Case(excess=float(np.median(floors / flops / waits)), sentence=said)

    def _first_tokens(self, trial: Trial) -> tuple[Floats, Floats]:
        """FLOP that a request's first token needs, and the seconds it took, for the first thousands of requests."""
        requests = trial.requests
        cached = requests.cached_tokens if self.is_shared else np.nan_to_num(requests.cached_tokens)
        wait_s = (requests.first_ns - requests.sent_ns) / 1e9
        rows = np.flatnonzero(trial.counted & ~np.isnan(requests.prompt_tokens + cached) & (wait_s > 0))[:_LOOKS]
        pairs = zip(requests.prompt_tokens[rows].tolist(), cached[rows].tolist(), strict=True)
        needed = [prefill_flop(self.basis.model, prompt, min(had, prompt - 1)) for prompt, had in pairs]
        return np.array(needed, dtype=np.float64), wait_s[rows]

    def step(self, trials: Sequence[Trial], loads: Sequence[TrialLoad]) -> _Case:
        """The median request's pace between chunks, against one reading of the weights and of its own context."""
        context = float(np.mean([load.least_context for load in loads]))
        least_s = self._step_bytes(batch=1.0, context=context) / self.machine.bytes_per_s
        gap_s = _median([_chunk_gaps_s(trial) for trial in trials])
        excess = least_s / gap_s if gap_s > 0 else 0.0
        return _Case(
            excess=excess, sentence=f"The median answer's chunks followed each other after {gap_s * 1e3:.3g} ms"
        )

    def _second(self, load: TrialLoad) -> Work:
        model, batch = self.basis.model, batch_of(self.basis, load)
        per_token = 2 * model.matmul_parameters + decode_attention_flop(model) * load.least_context
        steps = load.decoded_per_s / (batch * self.per_chunk)
        return Work(
            flop=load.decoded_per_s * per_token + prefill_flop_per_s(self.basis, load),
            bytes=steps * self._step_bytes(batch=batch, context=load.least_context),
        )

    def _step_bytes(self, *, batch: float, context: float) -> float:
        model = self.basis.model
        kept = batch * context * model.kv_bytes_per_token(self.basis.kv_dtype_bytes)
        read = weight_bytes(model, experts=model.experts_per_token) + kept
        return max(0.0, read - max(self.basis.cache_bytes(one) for one in self.basis.ceilings))


def _tokens_per_chunk(trials: Sequence[Trial]) -> float:
    held = sum(float(trial.requests.chunk_tokens.sum()) for trial in trials)
    chunks = sum(int(trial.requests.chunk_counts.sum()) for trial in trials)
    return max(1.0, held / chunks) if chunks else 1.0


def _chunk_gaps_s(trial: Trial) -> Floats:
    """Mean seconds between the chunks of each answer that has several."""
    requests = trial.requests
    paced = trial.counted & (requests.chunk_counts > 1)
    spans_ns = requests.last_chunk_ns[paced] - requests.first_ns[paced]
    gaps: Floats = spans_ns / (requests.chunk_counts[paced] - 1) / 1e9
    return gaps


def _median(parts: Sequence[Floats]) -> float:
    values = np.concatenate(parts)
    return float(np.median(values)) if len(values) else 0.0
