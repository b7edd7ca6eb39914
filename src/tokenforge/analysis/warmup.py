"""How much of a trial's start does not count where the workload does not say.

An engine's first answers, and those of a queue that fills, are not what it does all day. Long loads lose their start by
default; short ones keep it, for a first look of a few seconds would lose most of what it has.
"""

import numpy as np

from tokenforge.analysis.document import WorkloadFacts
from tokenforge.analysis.requests import TrialRequests

LEAST_S = 30.0
KEPT_S = 60.0
"""Loads up to this long keep all; of what is longer, at most half does not count."""
_ANSWERS = 2.0


def warmup_of(requests: TrialRequests, workload: WorkloadFacts, *, load_s: float) -> float:
    """Seconds: the workload's own, else the default; a load that changes by plan has none by default."""
    if workload.warmup_s is not None:
        return workload.warmup_s
    if not workload.is_level:
        return 0.0
    e2e_ns = (requests.end_ns - requests.arrival_ns)[requests.ok]
    p95_s = float(np.quantile(e2e_ns, 0.95)) / 1e9 if len(e2e_ns) else 0.0
    return default_warmup_s(e2e_p95_s=p95_s, load_s=load_s)


def default_warmup_s(*, e2e_p95_s: float, load_s: float) -> float:
    """max(30 s, 2 p95 E2E), but never more than half of what the load lasts beyond its first minute."""
    return max(0.0, min(max(LEAST_S, _ANSWERS * e2e_p95_s), (load_s - KEPT_S) / 2))
