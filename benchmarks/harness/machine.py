"""What the figures were measured on."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path


def machine() -> dict[str, object]:
    """Processor, cores this process may use, memory, kernel, Python, load average and the time stolen by the host."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "stolen_s": _stolen_s(),
    }


def describe_machine(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """One line for the report: where it was measured, and what else the machine did meanwhile."""
    stolen_s = float(str(after["stolen_s"])) - float(str(before["stolen_s"]))
    return (
        f"{before['cpu']}, {before['cores']} cores, Linux {before['kernel']}, Python {before['python']}; "
        f"load average before {_load(before)}; {stolen_s:.1f} s of CPU time were taken by the host meanwhile."
    )


def _load(facts: Mapping[str, object]) -> str:
    loads = facts["load_average"]
    return f"{loads[0]:.2f}" if isinstance(loads, tuple) else "-"


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _stolen_s() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")
