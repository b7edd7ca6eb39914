"""Seeded streams of chance: one per purpose, the same on any machine.

A stream is numpy's PCG64 seeded from the SHA-256 of its name, so adding a draw to one purpose moves no other.
"""

import hashlib

import numpy as np


def stream(*name: object) -> np.random.Generator:
    """The generator of a name such as (seed, "arrivals", workload, trial)."""
    digest = hashlib.sha256("\x1f".join(map(str, name)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def derived_seed(*name: object) -> int:
    """A seed of 63 bits for a name."""
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, name)).encode()).digest()[:8], "big") >> 1
