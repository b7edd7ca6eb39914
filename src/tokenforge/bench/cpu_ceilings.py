"""What this machine's processors reach: memory traffic and float32 matrix products with numpy, the best of many rounds.

A ceiling is what the machine can do, so the fastest round counts and a busy neighbour only costs some of the rounds.
Arrays are several times the caches, all processors take part, and data are random. Copying counts what is read and what
is written; reading alone is measured too, since a decode step writes next to nothing and memory often reads faster.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_ROUND_S = 0.9
_MATRIX_SIDES = (1024, 2048, 4096)
_LEAST_BYTES = 256 << 20
_MOST_BYTES = 4 << 30
_CACHES = 4

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuReading:
    """What was reached, in FLOP/s and bytes/s. `cache_bytes` is all second and third level caches together."""

    float32_flops: float
    copy_bytes_per_s: float
    read_bytes_per_s: float
    cache_bytes: int
    threads: int


def measure_cpu(
    *, round_s: float = _ROUND_S, most_bytes: int = _MOST_BYTES, matrix_sides: Sequence[int] = _MATRIX_SIDES
) -> CpuReading:
    """Measure the processors this process may use: six rounds or so, with two arrays of `most_bytes` at most."""
    caches = cache_bytes()
    threads = len(os.sched_getaffinity(0))
    size = min(max(_LEAST_BYTES, _CACHES * caches), most_bytes, _free_bytes() // 4)
    source = np.random.default_rng(0).random(size // 4, dtype=np.float32)
    with ThreadPoolExecutor(threads) as pool:
        copied = 2 * source.nbytes / _copy_seconds(source, pool, threads, round_s)
        read = source.nbytes / _read_seconds(source, pool, threads, round_s)
    return CpuReading(
        float32_flops=max(_matmul_flops(side, round_s) for side in matrix_sides),
        copy_bytes_per_s=copied,
        read_bytes_per_s=read,
        cache_bytes=caches,
        threads=threads,
    )


def cache_bytes(root: Path = Path("/sys/devices/system/cpu")) -> int:
    """Second and third level caches of all processors, a shared one counted once; 0 where the system does not say."""
    found: dict[tuple[str, str], int] = {}
    for folder in root.glob("cpu[0-9]*/cache/index*"):
        try:
            level, shared, size = ((folder / name).read_text().strip() for name in ("level", "shared_cpu_list", "size"))
        except OSError:
            continue
        if level in {"2", "3"}:
            found[level, shared] = _size_bytes(size)
    return sum(found.values())


def _size_bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text or 0)


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _copy_seconds(source: _Floats, pool: ThreadPoolExecutor, threads: int, round_s: float) -> float:
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    return _best(lambda: list(pool.map(lambda part: np.copyto(*part), parts)), round_s)


def _read_seconds(source: _Floats, pool: ThreadPoolExecutor, threads: int, round_s: float) -> float:
    parts = np.array_split(source, threads)
    by_product = _best(lambda: list(pool.map(lambda part: np.dot(part, part), parts)), round_s / 2)
    by_largest = _best(lambda: list(pool.map(np.max, parts)), round_s / 2)
    return min(by_product, by_largest)


def _matmul_flops(side: int, round_s: float) -> float:
    chance = np.random.default_rng(side)
    left, right = (chance.random((side, side), dtype=np.float32) for _ in range(2))
    out = np.empty_like(left)
    return 2 * side**3 / _best(lambda: np.matmul(left, right, out=out), round_s)


def _best(work: Callable[[], object], round_s: float) -> float:
    """Seconds of the fastest call; at least three are made, the first of them to warm up."""
    work()
    best, calls, end = float("inf"), 0, time.perf_counter() + round_s
    while calls < 2 or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        best, calls = min(best, time.perf_counter() - began), calls + 1
    return best
