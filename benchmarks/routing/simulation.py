"""Replicas as a model in virtual time, fed by the gateway's own router."""

from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from routing.workloads import Ask
from tokenforge.domain.deployment import Routing
from tokenforge.domain.generation import Capabilities, RuntimeInfo
from tokenforge.gateway.affinity import LOAD_BOUND, Hint, Homes
from tokenforge.gateway.routing import Endpoint, Router, RouteTable, Served, Want

_INFO = RuntimeInfo(
    runtime="model", engine="model", engine_version="1", model="m", max_model_len=65_536, capabilities=Capabilities()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The machine: replicas, tokens prefilled a second and kept in the cache of each, seconds of decoding."""

    replicas: int = 4
    prefill_per_s: float = 10_000.0
    cache_tokens: int = 60_000
    decode_s: float = 2.0


@dataclass(slots=True)
class Result:
    """What came of it: tokens in all and found in a cache, times to the first token, load as it was at each arrival."""

    tokens: int = 0
    hits: int = 0
    ttfts_s: list[float] = field(default_factory=list)
    loads: list[tuple[int, float]] = field(default_factory=list)

    @property
    def hit_share(self) -> float:
        """Of all prompt tokens."""
        return self.hits / self.tokens

    @property
    def unevenness(self) -> float:
        """The busiest replica's requests over the mean, in the mean over arrivals."""
        return sum(most / mean for most, mean in self.loads) / len(self.loads)

    def ttft_ms(self, share: float) -> float:
        """So many were faster."""
        return sorted(self.ttfts_s)[int(share * len(self.ttfts_s))] * 1e3


@dataclass(slots=True)
class _Engine:
    """One replica: when its prefill is free, and what its cache holds, the longest unused first."""

    free_s: float = 0.0
    cache: "OrderedDict[str, int]" = field(default_factory=OrderedDict)
    cached: int = 0

    def take(self, ask: Ask, place: Place) -> tuple[float, int]:
        """When the first token is there, and how many tokens of the prompt were in the cache."""
        hit = min(ask.shared, self.cache.get(ask.prefix, 0))
        begins_s = max(self.free_s, ask.at_s)
        self.free_s = begins_s + (ask.tokens - hit) / place.prefill_per_s
        self.cached += ask.keeps - self.cache.pop(ask.prefix, 0)
        self.cache[ask.prefix] = ask.keeps
        while self.cached > place.cache_tokens:
            self.cached -= self.cache.popitem(last=False)[1]
        return self.free_s, hit


def simulate(asks: Sequence[Ask], place: Place, *, bound: float | None) -> Result:
    """Route all of them by prefix within that bound, or by the least load without one."""
    names = [f"replica-{number}" for number in range(place.replicas)]
    router = _router(names, bound)
    engines = {name: _Engine() for name in names}
    ending: list[tuple[float, int, Endpoint]] = []
    result = Result()
    for number, ask in enumerate(asks):
        while ending and ending[0][0] <= ask.at_s:
            router.release(heappop(ending)[2])
        endpoint = _done(router.take(Want(model="m", hint=Hint("", ask.fields)), without=(), until_s=1e9))
        first_s, hit = engines[endpoint.id].take(ask, place)
        heappush(ending, (first_s + place.decode_s, number, endpoint))
        result.tokens, result.hits = result.tokens + ask.tokens, result.hits + hit
        result.ttfts_s.append(first_s - ask.at_s)
        flying = [router.in_flight(name) for name in names]
        result.loads.append((max(flying), sum(flying) / len(flying)))
    return result


def _router(names: Sequence[str], bound: float | None) -> Router:
    """The gateway's own; every replica has room for all."""
    endpoints = tuple(
        Endpoint(id=name, deployment="d", model="m", runtime="model", url="", capacity=1_000_000, info=_INFO)
        for name in names
    )
    way = Routing.LEAST_LOAD if bound is None else Routing.PREFIX
    served = Served(id="d", model="m", runtime="model", created_s=0, cause="", endpoints=endpoints, routing=way)
    router = Router(clock=lambda: 0.0, homes=Homes(bound=bound or LOAD_BOUND))
    router.replace(RouteTable({"m": (served,)}))
    return router


def _done(taking: Coroutine[object, object, Endpoint]) -> Endpoint:
    """What a coroutine that never waits returns."""
    try:
        taking.send(None)
    except StopIteration as done:
        endpoint: Endpoint = done.value
        return endpoint
    raise AssertionError("there is always a free place here")
