"""A share of requests (within the SLO) with its interval: never surer than its requests or its trials allow.

Trials that all attained 100 % differ in nothing, and their t-interval would be a point. So the interval is the wider of
two at each end: Student's t over trials, and Wilson's with the effective number of requests.
"""

from collections.abc import Sequence

import numpy as np

from tokenforge.analysis.dependence import worth_of_values
from tokenforge.analysis.intervals import Estimate, over_trials, wilson, within_note
from tokenforge.analysis.requests import Bools


def estimate_share(trials: Sequence[Bools], *, worth: float) -> Estimate:
    """The mean share of events over trials, an array each in order of time; trials without any are left out.

    `worth` is what one request is worth among its neighbours by another account (its wait): where all requests are
    good, their goodness shows no memory.
    """
    known = [events for events in trials if len(events)]
    if not known:
        return Estimate(value=None, note="no data")
    shares = [float(events.mean()) for events in known]
    mean = sum(shares) / len(shares)
    effective = sum(len(events) for events in known) * min(
        worth, worth_of_values([events.astype(np.float64) for events in known])
    )
    inside, between = wilson(successes=mean * effective, total=effective), over_trials(shares, ceiling=1.0)
    assert inside.low is not None
    assert inside.high is not None
    if between.low is None or between.high is None:
        return Estimate(value=mean, low=inside.low, high=inside.high, note=within_note(len(known)))
    return Estimate(value=mean, low=min(inside.low, between.low), high=max(inside.high, between.high))
