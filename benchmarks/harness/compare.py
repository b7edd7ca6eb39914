"""What a client reported against what the truth server says happened. Pure: numbers in, numbers out.

An error is |reported - true|. TTFT is compared twice: from the client's own zero (its schedule or its send), and as the
time the server took (first token sent - request arrived) against the TTFT from the send. The first is how well a client
sees; the second is what its reader takes for the server's own time. Gaps are compared one by one, or, for a client that
reports their mean only, mean by mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.clients.base import SeenRequest
from harness.truth import TrueAnswer

Floats = npt.NDArray[np.float64]
Pair = tuple[SeenRequest, TrueAnswer]

_LEAST_FOR_KS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Quantiles of the errors in ms; None where the client reports nothing to compare.

    `ttft_*` from the client's own zero (from the arrival where it names none: `has_zero` false); `service_ttft_*`
    against the server's own time. `late_p99_ms`: arrival at the server minus the client's zero. `by_gap`: gaps were
    compared one by one.
    """

    matched: int
    has_zero: bool
    by_gap: bool
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    service_ttft_p50_ms: float | None
    service_ttft_p99_ms: float | None
    gap_p50_ms: float | None
    gap_p99_ms: float | None
    late_p50_ms: float | None
    late_p99_ms: float | None


def match(seen: Sequence[SeenRequest], answers: Sequence[TrueAnswer]) -> list[Pair]:
    """Pairs of the same request: by prompt number, else by order (the n-th sent is the n-th to arrive).

    What came before the load (a client's own warm-up or trial request) is left out: of several answers to one prompt
    the last counts, and by order the last as many as the client reported.
    """
    arrived = sorted(answers, key=lambda answer: answer.arrival_ns)
    if all(request.prompt is not None for request in seen):
        by_prompt = {answer.prompt: answer for answer in arrived}
        return [(request, by_prompt[request.prompt]) for request in seen if request.prompt in by_prompt]
    ordered = sorted(seen, key=lambda request: request.zero_ns or 0)
    late = arrived[max(0, len(arrived) - len(ordered)) :]
    return list(zip(ordered, late, strict=False))


def errors(pairs: Sequence[Pair]) -> Errors:
    """Compare every pair whose answer has tokens."""
    whole = [(request, answer) for request, answer in pairs if answer.sent_ns]
    has_zero = bool(whole) and all(request.zero_ns is not None for request, _ in whole)
    service = np.array([_sent_ttft(request) - _service_ms(answer) for request, answer in whole])
    own = np.array([request.ttft_ms - _true_ttft(request, answer) for request, answer in whole])
    late = np.array([(answer.arrival_ns - (request.zero_ns or 0)) / 1e6 for request, answer in whole])
    gaps = np.concatenate([_gap_errors(request, answer) for request, answer in whole] or [np.zeros(0)])
    return Errors(
        matched=len(whole),
        has_zero=has_zero,
        by_gap=any(request.gaps_ms for request, _ in whole),
        ttft_p50_ms=_quantile(own, 0.5),
        ttft_p99_ms=_quantile(own, 0.99),
        service_ttft_p50_ms=_quantile(service, 0.5),
        service_ttft_p99_ms=_quantile(service, 0.99),
        gap_p50_ms=_quantile(gaps, 0.5),
        gap_p99_ms=_quantile(gaps, 0.99),
        late_p50_ms=_quantile(late, 0.5) if has_zero else None,
        late_p99_ms=_quantile(late, 0.99) if has_zero else None,
    )


def arrival_rate(answers: Sequence[TrueAnswer]) -> float | None:
    """Requests/s as the server saw them arrive; None with fewer than two."""
    times = sorted(answer.arrival_ns for answer in answers)
    if len(times) < 2 or times[0] == times[-1]:
        return None
    return (len(times) - 1) / (times[-1] - times[0]) * 1e9


def arrival_p(arrivals_ns: Sequence[int], *, rate: float, shape: float = 1.0) -> float | None:
    """The p-value of a Kolmogorov-Smirnov test of the gaps against the asked process; None with too few of them.

    `shape` 1 is Poisson (exponential gaps), else gamma gaps of that shape; their mean is 1/rate.
    """
    times = np.sort(np.asarray(arrivals_ns, dtype=np.float64)) / 1e9
    if len(times) < _LEAST_FOR_KS:
        return None
    return float(stats.kstest(np.diff(times), "gamma", args=(shape, 0, 1 / (shape * rate))).pvalue)


def stream_rate(answers: Sequence[TrueAnswer], *, streams: int) -> float | None:
    """Tokens/s of a closed loop, by Little's law: streams x tokens over the mean time that a request takes.

    The n-th request to end lets the (n + streams)-th begin, so that time is the mean distance of arrivals `streams`
    apart. Not by the times of the sends: what the client has not read yet waits in the kernel.
    """
    arrivals = np.sort(np.array([answer.arrival_ns for answer in answers], dtype=np.float64))
    if len(arrivals) <= streams:
        return None
    tokens = float(np.mean([len(answer.sent_ns) for answer in answers]))
    return float(streams * tokens / (arrivals[streams:] - arrivals[:-streams]).mean() * 1e9)


def server_late_ms(answers: Sequence[TrueAnswer], *, ttft_us: int, itl_us: int) -> float | None:
    """How late the truth server itself sent its tokens, p99: on a busy machine the truth suffers too."""
    late = [
        np.asarray(answer.sent_ns, dtype=np.float64)
        - (answer.arrival_ns + ttft_us * 1e3 + itl_us * 1e3 * np.arange(len(answer.sent_ns)))
        for answer in answers
    ]
    return _quantile(np.concatenate(late or [np.zeros(0)]) / 1e6, 0.99)


def _service_ms(answer: TrueAnswer) -> float:
    return (answer.sent_ns[0] - answer.arrival_ns) / 1e6


def _true_ttft(request: SeenRequest, answer: TrueAnswer) -> float:
    """From the client's zero, or from the arrival where it names none."""
    return (answer.sent_ns[0] - (answer.arrival_ns if request.zero_ns is None else request.zero_ns)) / 1e6


def _sent_ttft(request: SeenRequest) -> float:
    return request.ttft_ms if request.ttft_sent_ms is None else request.ttft_sent_ms


def _gap_errors(request: SeenRequest, answer: TrueAnswer) -> Floats:
    true = np.diff(np.asarray(answer.sent_ns, dtype=np.float64)) / 1e6
    if len(request.gaps_ms) == len(true) and len(true):
        return np.asarray(request.gaps_ms) - true
    if request.gap_ms is not None and len(true):
        return np.array([request.gap_ms - true.mean()])
    return np.zeros(0)


def _quantile(values: Floats, share: float) -> float | None:
    """Of the absolute values."""
    return float(np.quantile(np.abs(values), share)) if len(values) else None
