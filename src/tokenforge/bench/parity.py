"""Measure parity: the same prompts to two servers, answers and log-probabilities back, and a judgement.

Greedy throughout. The reference is asked twice, alone and in a batch, so that its own noise is known before a
difference is held against the other. The two need not be up at the same time: record one, then the other.
"""

from dataclasses import dataclass

from tokenforge.bench.targets import Target
from tokenforge.domain.parity import ParityResult, not_measured


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityAsk:
    """How much is asked: `prompts` answers of up to `tokens` tokens, at most `batch` at once, `top` alternatives."""

    prompts: int = 16
    tokens: int = 32
    batch: int = 8
    top: int = 20
    seed: int = 0


async def measure_parity(reference: Target, candidate: Target, ask: ParityAsk) -> ParityResult:  # noqa: ARG001
    """Both servers run: record and judge. A server that cannot be asked makes the result NOT MEASURED, not an error."""
    return not_measured(
        model=reference.model,
        reference=reference.runtime,
        candidate=candidate.runtime,
        code="not_built",
        why="this version cannot ask servers for it yet",
    )
