"""Plans with nothing but times and lengths, for tests of the driver's arithmetic."""

from collections.abc import Sequence

from tokenforge.domain.plan import PlannedRequest, TrialPlan
from tokenforge.domain.workload import Arrival


def plan_at(times_s: Sequence[float], *, tokens: int) -> TrialPlan:
    """One request of `tokens` output tokens at each time."""
    requests = tuple(
        PlannedRequest(index=index, at_ns=round(at_s * 1e9), prompt_text="a", gen_tokens=tokens)
        for index, at_s in enumerate(times_s)
    )
    return TrialPlan(workload="w", arrival=Arrival.POISSON, trial=0, seed=1, requests=requests)
