"""How many replicas an autoscaled deployment should have: demand and what is remembered in, a number and why out.

Pure and level-triggered like `reconcile`: all that it remembers is in the Scaling it returns, and time is an argument.
More replicas come at once, as requests wait meanwhile. Fewer come when fewer would have done for `down_after_s`, and
then as many as the busiest moment of that time needed. In between lies a band of a tenth in which nothing changes, so
noise around a border starts and stops nothing. None goes to zero but after `idle_s` without a request.

Refuses to guess: while no gateway reports (`demand` None), nothing changes.
"""

import math
from dataclasses import dataclass, replace

from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Autoscale
from tokenforge.domain.deployment_state import Scaling

BAND = 0.1
"""How far demand may be from the target, as a share of it, before replicas are added or taken away."""

TTFT_SETTLE_S = 15.0
"""After a change, and after the last replica came up, the time to the first token is not judged for so long."""

_CALM_TTFT = 0.8
"""Replicas are taken away only while the time to the first token is below this share of its limit."""

_LATER_S = 0.5
"""A request this much after the last one known is another one: so far apart may two looks at one be."""

_EDGE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is seen of the deployment now. `healthy_since_s`: since when all wanted replicas serve, 0 while they do not.

    `most`: no more replicas than this, whatever `autoscale.max` says.
    """

    now_s: float
    demand: Demand | None
    healthy_since_s: float = 0.0
    most: int | None = None


def begin(autoscale: Autoscale, *, replicas: int, now_s: float) -> Scaling:
    """Where a deployment starts: with the replicas that were asked for, within the bounds."""
    wanted = min(max(replicas, autoscale.min), autoscale.max)
    return Scaling(replicas=wanted, changed_at_s=now_s, busy_at_s=now_s)


def decide(autoscale: Autoscale, before: Scaling, look: Look) -> Scaling:
    """What follows. The same object when nothing does."""
    now = _bounded(autoscale, before, look)
    demand = look.demand
    if demand is None:
        return now
    if now.replicas == 0:
        return _woken(autoscale, now, demand, look)
    now = _noted(autoscale, now, demand, look)
    more = _more(autoscale, now, demand, look)
    return _fewer(autoscale, now, demand, look) if more is None else more


def _bounded(autoscale: Autoscale, before: Scaling, look: Look) -> Scaling:
    """Bounds that changed hold at once."""
    high = _most(autoscale, look)
    low = min(autoscale.min, high)
    if before.replicas > high:
        return _changed(before, high, look, reason="ScaledDown", why=f"at most {high} are allowed")
    if before.replicas < low:
        return _changed(before, low, look, reason="ScaledUp", why=f"at least {low} are wanted")
    return before


def _noted(autoscale: Autoscale, now: Scaling, demand: Demand, look: Look) -> Scaling:
    """Remember the last request, where that decides about zero."""
    last_s = look.now_s - (0.0 if demand.requests > 0 else demand.idle_s if demand.idle_s is not None else math.inf)
    is_later = autoscale.min == 0 and last_s > now.busy_at_s + _step_s(autoscale)
    return replace(now, busy_at_s=last_s) if is_later else now


def _woken(autoscale: Autoscale, now: Scaling, demand: Demand, look: Look) -> Scaling:
    """From zero, for a request that is held, or that came and did not wait."""
    has_come = demand.idle_s is not None and look.now_s - demand.idle_s > now.changed_at_s + _LATER_S
    wanted = min(max(1, _rounded_up(demand.requests / autoscale.target)), _most(autoscale, look))
    if wanted == 0 or not (has_come or demand.requests > 0):
        return now
    why = f"{_count(demand.requests)} waiting for no replica" if demand.requests > 0 else "a request came"
    return _changed(replace(now, busy_at_s=look.now_s), wanted, look, reason="Woken", why=why)


def _more(autoscale: Autoscale, now: Scaling, demand: Demand, look: Look) -> Scaling | None:
    """Add what requests ask for, or one where answers begin too late; None when there are enough, or no more may be."""
    ratio = demand.requests / autoscale.target
    if _rounded_up(ratio / (1 + BAND)) > now.replicas:
        wanted, why = _rounded_up(ratio), _requests_of(demand)
    elif _is_slow(autoscale, now, demand, look):
        wanted, why = now.replicas + 1, f"TTFT p90 of {demand.ttft_p90_ms:.0f} ms, above {autoscale.ttft_ms:g} ms,"
    else:
        return None
    wanted = min(wanted, _most(autoscale, look))
    there = f"{now.replicas} replica{'s' * (now.replicas != 1)}"
    is_more = wanted > now.replicas
    return _changed(now, wanted, look, reason="ScaledUp", why=f"{why} for {there}") if is_more else None


def _is_slow(autoscale: Autoscale, now: Scaling, demand: Demand, look: Look) -> bool:
    """Whether answers begin too late although the last change has had its time."""
    if autoscale.ttft_ms is None or demand.ttft_p90_ms is None or not look.healthy_since_s:
        return False
    settled_s = max(look.healthy_since_s, now.changed_at_s) + TTFT_SETTLE_S
    return demand.ttft_p90_ms > autoscale.ttft_ms and look.now_s >= settled_s


def _fewer(autoscale: Autoscale, now: Scaling, demand: Demand, look: Look) -> Scaling:
    """Take away what was not needed for long enough; note since when it is not."""
    enough = _enough(autoscale, now, demand, look)
    if enough >= now.replicas:
        return replace(now, fewer_since_s=0.0, fewer=0) if now.fewer_since_s else now
    if enough == 0:
        why = f"no request for {autoscale.idle_s:g} s"
        return _changed(now, 0, look, reason="ScaledToZero", why=why)
    if not now.fewer_since_s:
        return replace(now, fewer_since_s=look.now_s, fewer=enough)
    busiest = max(now.fewer, enough)
    if look.now_s - now.fewer_since_s >= autoscale.down_after_s:
        why = f"no more than {busiest} needed for {autoscale.down_after_s:g} s"
        return _changed(now, busiest, look, reason="ScaledDown", why=why)
    return now if busiest == now.fewer else replace(now, fewer=busiest)


def _enough(autoscale: Autoscale, now: Scaling, demand: Demand, look: Look) -> int:
    """How many would do for the demand of this moment."""
    if autoscale.ttft_ms is not None and (demand.ttft_p90_ms or 0.0) > _CALM_TTFT * autoscale.ttft_ms:
        return now.replicas
    if autoscale.min == 0 and _is_idle(autoscale, now, demand, look):
        return 0
    return max(1, autoscale.min, _rounded_up(demand.requests / autoscale.target / (1 - BAND)))


def _is_idle(autoscale: Autoscale, now: Scaling, demand: Demand, look: Look) -> bool:
    """Whether it was there in vain for long enough; the time that it needed to come up does not count."""
    if demand.requests > 0 or not look.healthy_since_s:
        return False
    return look.now_s - max(now.busy_at_s, look.healthy_since_s) >= autoscale.idle_s + _step_s(autoscale)


def _requests_of(demand: Demand) -> str:
    flying = f"{_count(demand.in_flight)} in flight"
    return f"{_count(demand.waiting)} waiting and {flying}" if demand.waiting >= 0.5 else flying


def _changed(now: Scaling, replicas: int, look: Look, *, reason: str, why: str) -> Scaling:
    return replace(
        now, replicas=replicas, reason=reason, why=f"{why}: {now.replicas} -> {replicas}", changed_at_s=look.now_s,
        fewer_since_s=0.0, fewer=0,
    )  # fmt: skip


def _most(autoscale: Autoscale, look: Look) -> int:
    return autoscale.max if look.most is None else min(autoscale.max, max(0, look.most))


def _step_s(autoscale: Autoscale) -> float:
    return max(_LATER_S, autoscale.idle_s / 20)


def _rounded_up(number: float) -> int:
    return math.ceil(number - _EDGE)


def _count(requests: float) -> str:
    """A mean of requests as people read it."""
    return f"{requests:.0f}" if requests >= 0.95 else f"{requests:.1f}"
