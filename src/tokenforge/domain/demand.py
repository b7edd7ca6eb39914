"""Demand: what clients ask of a deployment right now, as the gateways see it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked of one deployment.

    `in_flight` requests are at its replicas and `waiting` ones have no place yet, both as means over a moment. `idle_s`
    is how long ago the last request came, None where none came since a gateway began. `ttft_p50_ms` and `ttft_p90_ms`
    are of the last seconds' answers that were streamed, None where there were too few.
    """

    in_flight: float = 0.0
    waiting: float = 0.0
    idle_s: float | None = None
    ttft_p50_ms: float | None = None
    ttft_p90_ms: float | None = None

    @property
    def requests(self) -> float:
        """All that are there."""
        return self.in_flight + self.waiting


def total(parts: Iterable[Demand]) -> Demand:
    """What several gateways see together. Quantiles cannot be added: the worst of them counts."""
    each = tuple(parts)
    return Demand(
        in_flight=sum(one.in_flight for one in each),
        waiting=sum(one.waiting for one in each),
        idle_s=min((one.idle_s for one in each if one.idle_s is not None), default=None),
        ttft_p50_ms=max((one.ttft_p50_ms for one in each if one.ttft_p50_ms is not None), default=None),
        ttft_p90_ms=max((one.ttft_p90_ms for one in each if one.ttft_p90_ms is not None), default=None),
    )
