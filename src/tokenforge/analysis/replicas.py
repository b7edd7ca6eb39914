"""How many replicas a load needs and what its tokens cost, with the interval of the capacity carried through."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.analysis.capacity_search import Capacity
from tokenforge.analysis.intervals import Estimate

_MINUTE_H = 1 / 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a replica is asked for: `headroom` is the share of its capacity to use, `output_tokens` are per request.

    `price_per_hour` and `power_w` are of one replica; None: not known.
    """

    headroom: float
    output_tokens: float | None
    price_per_hour: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Replicas per minute by the capacity's lower end, their hours, and costs per output token; absent is None."""

    replicas: tuple[int, ...]
    most: int
    replica_hours: float
    dollars_per_million: Estimate | None
    joules_per_token: Estimate | None


def replicas_needed(rate: float, *, capacity: float, headroom: float) -> int:
    """Replicas for `rate` requests/s; none without load."""
    return math.ceil(rate / (capacity * headroom) - 1e-9)


def deploy(rates: Sequence[float], capacity: Capacity, terms: Terms) -> Deployment | None:
    """Replicas for a trace of mean rates, requests/s for each minute. None where no capacity was shown."""
    if capacity.low is None:
        return None
    replicas = tuple(replicas_needed(rate, capacity=capacity.low, headroom=terms.headroom) for rate in rates)
    hours = {name: _hours(rates, value, terms) for name, value in _capacities(capacity).items()}
    tokens = sum(rates) * 60 * (terms.output_tokens or 0.0)
    return Deployment(
        replicas=replicas,
        most=max(replicas, default=0),
        replica_hours=sum(replicas) * _MINUTE_H,
        dollars_per_million=_scaled(hours, terms.price_per_hour, tokens / 1e6),
        joules_per_token=_scaled(hours, None if terms.power_w is None else terms.power_w * 3600, tokens),
    )


def cost_at_capacity(capacity: Capacity, terms: Terms) -> Estimate | None:
    """$ per million output tokens of one replica used up to its headroom."""
    if terms.price_per_hour is None or not terms.output_tokens:
        return None
    per_request = terms.price_per_hour / 3600 / terms.headroom / terms.output_tokens * 1e6
    return Estimate(
        value=per_request / capacity.value if capacity.value else None,
        low=per_request / capacity.high if capacity.high else None,
        high=per_request / capacity.low if capacity.low else None,
        note=capacity.note,
    )


def _capacities(capacity: Capacity) -> dict[str, float | None]:
    return {"low": capacity.high, "value": capacity.value, "high": capacity.low}


def _hours(rates: Sequence[float], capacity: float | None, terms: Terms) -> float | None:
    if capacity is None:
        return None
    return sum(replicas_needed(rate, capacity=capacity, headroom=terms.headroom) for rate in rates) * _MINUTE_H


def _scaled(hours: dict[str, float | None], factor: float | None, amount: float) -> Estimate | None:
    """Hours times `factor` over `amount`; None where the factor or the amount is not known."""
    if factor is None or amount <= 0:
        return None
    each = {name: None if value is None else value * factor / amount for name, value in hours.items()}
    return Estimate(value=each["value"], low=each["low"], high=each["high"])
