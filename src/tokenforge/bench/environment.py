"""What the run stood on: machine, limits, GPUs, packages, version of this tool. Read, never guessed; unknown is None.

Nothing here names the user or carries a secret: no host name, no environment variables, no paths of the home folder.
"""

import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

import tokenforge
from tokenforge.domain.runtime import Accelerator

_PACKAGES = ("numpy", "pyarrow", "tokenizers", "scipy", "pydantic")
_GPU_FIELDS = "name,driver_version,memory.total,clocks.sm,power.limit,clocks_throttle_reasons.active,compute_cap"


def detect_accelerator() -> Accelerator:
    """CUDA when an NVIDIA device node is there, CPU otherwise. A container without the device has none."""
    return Accelerator.CUDA if Path("/dev/nvidia0").exists() else Accelerator.CPU


def read_environment() -> Mapping[str, object]:
    """The machine as JSON values, sorted into `machine`, `limits`, `gpus`, `packages`."""
    return {
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "cpu_model": _cpu_model(),
            "cpu_cores": psutil.cpu_count(logical=False),
            "cpu_threads": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "python": platform.python_version(),
        },
        "limits": {"cpu": _cgroup_value("cpu.max"), "memory": _cgroup_value("memory.max")},
        "gpus": _read_gpus(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def read_pressure() -> Mapping[str, float | None]:
    """How busy the machine is now: load average over a minute, and CPU seconds since boot, in all and stolen.

    `throttled_s` are the seconds in which a CPU limit stopped this control group, since it was made.
    """
    times = psutil.cpu_times()
    return {
        "load_1m": psutil.getloadavg()[0],
        "cpu_s": sum(times),
        "steal_s": getattr(times, "steal", None),
        "throttled_s": throttled_s(_cgroup_value("cpu.stat")),
    }


def steal_share(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> float | None:
    """The share of CPU time that the host took for others between two readings; None where the system does not say."""
    stolen, began = after["steal_s"], before["steal_s"]
    spent = (after["cpu_s"] or 0.0) - (before["cpu_s"] or 0.0)
    if stolen is None or began is None or spent <= 0:
        return None
    return max(0.0, (stolen - began) / spent)


def throttled_share(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> float | None:
    """The share of time between two readings in which a CPU limit held this control group; None where none is set.

    CPU seconds, idle ones among them, pass on every thread of the machine at once.
    """
    stopped, began = after["throttled_s"], before["throttled_s"]
    lasted_s = ((after["cpu_s"] or 0.0) - (before["cpu_s"] or 0.0)) / (psutil.cpu_count() or 1)
    if stopped is None or began is None or lasted_s <= 0:
        return None
    return min(1.0, max(0.0, (stopped - began) / lasted_s))


def throttled_s(cpu_stat: str | None) -> float | None:
    """`throttled_usec` of a control group's `cpu.stat`, in seconds; None where the group has no limit to tell of."""
    words = dict(line.split(maxsplit=1) for line in (cpu_stat or "").splitlines() if " " in line)
    stopped = words.get("throttled_usec", "").strip()
    return int(stopped) / 1e6 if stopped.isdigit() else None


def read_tool() -> Mapping[str, str]:
    """This tool's version and, in a checkout, its git commit (with `+changes` when the tree differs from it)."""
    tool = {"name": "tokenforge", "version": tokenforge.__version__}
    root = Path(tokenforge.__file__).parents[2]
    if (root / ".git").exists() and (commit := _output("git", "-C", str(root), "rev-parse", "HEAD")):
        changed = _output("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
        tool["git"] = commit + ("+changes" if changed else "")
    return tool


def _cpu_model() -> str | None:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Processor")):
            return line.partition(":")[2].strip()
    return None


def _cgroup_value(name: str) -> str | None:
    path = Path("/sys/fs/cgroup") / name
    return path.read_text().strip() if path.exists() else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read_gpus() -> list[dict[str, str]]:
    if shutil.which("nvidia-smi") is None:
        return []
    lines = _output("nvidia-smi", f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader").splitlines()
    names = _GPU_FIELDS.split(",")
    return [dict(zip(names, (value.strip() for value in line.split(",")), strict=False)) for line in lines]


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
