"""What this machine's device reaches with torch: matrix products and memory traffic, the best of many short rounds.

Run as a program by the Python of an environment that has torch: `python -I torch_ceilings.py cpu|cuda` prints one JSON
object. It needs nothing of ours, so any torch will do. Data are random: a GPU draws less power on zeros and looks
faster than it is. It measures the first device only; cards of one machine are taken to be alike.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

_ROUND_S = {"cuda": 0.8, "cpu": 0.5}
_MATRIX_SIZES = {"cuda": (4096, 8192), "cpu": (2048,)}
_FORMATS = {"cuda": ("bfloat16",), "cpu": ("float32", "bfloat16")}
_TRAFFIC_BYTES = {"cuda": 4 << 30, "cpu": 256 << 20}


def main(device: str) -> None:
    """Measure `cpu` or `cuda` and print what was found."""
    import torch

    torch.manual_seed(0)
    with torch.inference_mode():
        found = {
            "device": torch.cuda.get_device_name(0) if device == "cuda" else "cpu",
            "cache_bytes": torch.cuda.get_device_properties(0).L2_cache_size if device == "cuda" else 0,
            "torch": torch.__version__,
            "flops": {name: _matmul_flops(torch, device, name) for name in _FORMATS[device]},
            "copy_bytes_per_s": _copy(torch, device),
            "read_bytes_per_s": _read(torch, device),
        }
    sys.stdout.write(json.dumps(found) + "\n")


def _matmul_flops(torch: Any, device: str, name: str) -> float:
    best = 0.0
    for size in _MATRIX_SIZES[device]:
        left, right = (torch.randn(size, size, device=device).to(getattr(torch, name)) for _ in range(2))
        out = torch.empty_like(left)
        seconds = _best(torch, device, partial(torch.matmul, left, right, out=out))
        best = max(best, 2 * size**3 / seconds)
    return best


def _copy(torch: Any, device: str) -> float:
    """Bytes/s of a copy, read and written ones together."""
    source = torch.randn(_TRAFFIC_BYTES[device] // 4, device=device)
    target = torch.empty_like(source)
    seconds = _best(torch, device, partial(target.copy_, source))
    return float(2 * source.nbytes / seconds)


def _read(torch: Any, device: str) -> float:
    """Bytes/s of reading alone, as a decode step reads its weights: a matrix times a vector, or a sum."""
    matrix = torch.randn(_TRAFFIC_BYTES[device] // (4 * 8192), 8192, device=device)
    vector = torch.randn(8192, device=device)
    seconds = min(_best(torch, device, partial(torch.mv, matrix, vector)), _best(torch, device, matrix.sum))
    return float(matrix.nbytes / seconds)


def _best(torch: Any, device: str, work: Callable[[], object]) -> float:
    """Seconds of the fastest call after a warm-up; on a GPU by its own clock."""
    for _ in range(2):
        work()
    best, end = float("inf"), time.perf_counter() + _ROUND_S[device]
    while time.perf_counter() < end:
        best = min(best, _gpu_seconds(torch, work) if device == "cuda" else _cpu_seconds(work))
    return best


def _gpu_seconds(torch: Any, work: Callable[[], object], calls: int = 4) -> float:
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    for _ in range(calls):
        work()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended)) / 1e3 / calls


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1])
