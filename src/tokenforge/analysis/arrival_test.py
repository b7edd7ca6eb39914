"""Were requests sent by the law that was asked for? Kolmogorov-Smirnov on the gaps between sends. Pure.

Poisson and gamma arrivals have a law, so their gaps as sent are tested against it. Other arrivals (constant, ramp,
trace) have a plan alone: there each gap is held against the planned one, and there is no p-value. The law is the
workload's, not what the plan's own numbers look like, so a faulty plan is found as well as a faulty generator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc, kolmogorov

from tokenforge.analysis.document import WorkloadFacts
from tokenforge.analysis.requests import Floats, TrialRequests

FEWEST_GAPS = 20
"""Below this many gaps nothing is tested."""

LEAST_DISTANCE = 0.05
"""A law that is met to within this share of the gaps is met: with many requests a test alone would find a
microsecond's jitter."""

_SIGNIFICANT = 0.01
_GAP_FLOOR_NS = 1_000_000
_GAP_SHARE = 0.05
_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalTest:
    """One trial. `law` is None where there is only a plan; then `p` is None too.

    `distance` is the largest difference between the shares of gaps below a length, as sent and by the law; with a plan
    alone, the share of gaps that are off by more than 1 ms and 5 % of the mean gap. `gap_error_p99_ms` is how much 99 %
    of the gaps differ at most from the planned ones.
    """

    trial: int
    law: str | None
    gaps: int
    p: float | None
    distance: float | None
    gap_error_p99_ms: float | None


def arrival_test(requests: TrialRequests, workload: WorkloadFacts) -> ArrivalTest | None:
    """Test one trial's sends; None in a closed loop, or where too few were sent."""
    sent = requests.sent_ns[~np.isnan(requests.scheduled_ns) & ~np.isnan(requests.sent_ns)]
    due = requests.scheduled_ns[~np.isnan(requests.scheduled_ns) & ~np.isnan(requests.sent_ns)]
    if not workload.is_open or len(sent) <= FEWEST_GAPS:
        return None
    gaps, planned = np.diff(np.sort(sent)), np.diff(np.sort(due))
    errors = np.abs(gaps - planned)
    shape = workload.arrival_shape
    if shape is None or workload.qps is None:
        tolerance = max(_GAP_FLOOR_NS, _GAP_SHARE * float(planned.mean()))
        law, p, distance = None, None, float((errors > tolerance).mean())
    else:
        distance, p = gamma_test(gaps / _NS, shape=shape, rate=workload.qps)
        law = "exponential" if shape == 1 else f"gamma of shape {shape:g}"
    return ArrivalTest(
        trial=requests.trial,
        law=law,
        gaps=len(gaps),
        p=p,
        distance=distance,
        gap_error_p99_ms=float(np.quantile(errors, 0.99)) / 1e6,
    )


def gamma_test(gaps_s: Floats, *, shape: float, rate: float) -> tuple[float, float]:
    """Distance and p-value of gaps (s) against gamma of `shape` with mean 1/rate; shape 1 is the exponential.

    The p-value is Kolmogorov's limit with Stephens' correction for small samples.
    """
    count = len(gaps_s)
    below = gammainc(shape, shape * rate * np.clip(np.sort(gaps_s), 0, None))
    steps = np.arange(count + 1) / count
    distance = float(max((steps[1:] - below).max(), (below - steps[:-1]).max()))
    root = np.sqrt(count)
    return distance, float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def worst_arrivals(tests: Sequence[ArrivalTest]) -> ArrivalTest | None:
    """The trial that speaks most against its law, if it speaks at all.

    Bonferroni: of n trials by chance the smallest p is below 1 % / n once in a hundred benchmarks. The distance must
    also matter.
    """
    off = [test for test in tests if _is_off(test, trials=len(tests))]
    return max(off, key=lambda test: test.distance or 0.0, default=None)


def _is_off(test: ArrivalTest, *, trials: int) -> bool:
    if test.distance is None or test.distance <= LEAST_DISTANCE:
        return False
    return test.p is None or test.p < _SIGNIFICANT / trials
