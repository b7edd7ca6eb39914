"""A server of known truth: Poisson arrivals, one prompt at a time, lognormal work of mean 1 s and CV 0.8 (M/G/1)."""

import numpy as np

from tokenforge.analysis.requests import Floats

CV = 0.8
_SETTLING = 1000


def waits(seed: int, *, rows: int, requests: int, load: float) -> Floats:
    """TTFT in s of each request of `rows` independent trials (Lindley's recursion), shape (rows, requests).

    The first 1,000 requests of a trial are left out: by then the queue has settled at loads up to 0.9.
    """
    chance = np.random.default_rng([seed, round(100 * load)])
    spread = np.sqrt(np.log1p(CV**2))
    wait, out = np.zeros(rows), np.empty((requests, rows))
    for index in range(-_SETTLING, requests):
        work = chance.lognormal(-(spread**2) / 2, spread, rows)
        if index >= 0:
            out[index] = wait + work
        wait = np.maximum(0.0, wait + work - chance.exponential(1 / load, rows))
    return np.ascontiguousarray(out.T)


def true_mean(load: float) -> float:
    """Mean TTFT in s (Pollaczek and Khinchine)."""
    return load * (1 + CV**2) / (2 * (1 - load)) + 1.0
