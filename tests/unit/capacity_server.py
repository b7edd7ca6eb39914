"""A server of known capacity in virtual time: M/G/1 by Lindley, lognormal service of mean 0.1 s and CV 0.8."""

import numpy as np

from tokenforge.analysis.capacity_search import Ask, Capacity, Probe, SearchRules, next_probe, read_capacity
from tokenforge.analysis.dependence import effective_events, effective_size
from tokenforge.analysis.requests import Floats

TRUE_CAPACITY = 7.47
"""Requests/s at which 95 % see their first token within 1 s."""


def ttft_s(rate: float, requests: int, rng: np.random.Generator) -> Floats:
    """Time to first token of each request, from an empty server on."""
    spread = np.log(1 + 0.8**2)
    service = rng.lognormal(np.log(0.1) - spread / 2, np.sqrt(spread), requests)
    steps = service[:-1] - rng.exponential(1 / rate, requests - 1)
    walk = np.concatenate(([0.0], np.cumsum(steps)))
    return np.asarray(walk - np.minimum.accumulate(walk) + service, dtype=np.float64)


def run_probe(ask: Ask, rng: np.random.Generator) -> Probe:
    """Offer what is asked."""
    warmup = int(ask.rate * ask.warmup_s)
    waits = ttft_s(ask.rate, max(int(rng.poisson(ask.rate * ask.duration_s)), warmup + 20), rng)[warmup:]
    good = waits <= 1.0
    effective = min(effective_events(~good), effective_size(waits, quantile=0.95))
    return Probe(rate=ask.rate, good=int(good.sum()), attempted=len(waits), effective=effective)


def search(seed: int, rules: SearchRules) -> tuple[Capacity, list[Probe]]:
    """A whole search."""
    rng = np.random.default_rng(seed)
    probes: list[Probe] = []
    while (ask := next_probe(rules, probes)) is not None:
        probes.append(run_probe(ask, rng))
    return read_capacity(rules, probes), probes


def naive_capacity(seed: int) -> float:
    """What is often done: bisect on one cold probe of 100 requests a rate."""
    rng = np.random.default_rng(seed)
    low, high = 1.0, 20.0
    while high / low > 1.02:
        middle = (low + high) / 2
        holds = np.mean(ttft_s(middle, 100, rng) <= 1.0) >= 0.95
        low, high = (middle, high) if holds else (low, middle)
    return low
