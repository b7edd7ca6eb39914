"""`doctor`: is this machine fit to serve and to measure? Each check says what it found and what to do."""

import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tokenforge.bench.ceilings import known_ceilings
from tokenforge.bench.environment import detect_accelerator, read_environment, read_pressure
from tokenforge.cli.ceilings import ceiling_text, measure_and_keep
from tokenforge.cli.show import print_json, print_table, size_text
from tokenforge.domain.ceilings import CeilingKind
from tokenforge.runtimes.environments import list_environments
from tokenforge.settings import Settings, read_settings

_DISK_NEEDED_BYTES = 6 << 30
_MEMORY_NEEDED_BYTES = 6 << 30
_OVERSLEEP_MS = 1.0
_FILES_NEEDED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `level` is ok, warn or fail; `advice` is empty when all is well."""

    name: str
    level: str
    found: str
    advice: str = ""


def run(*, measure: bool, as_json: bool) -> int:
    """Print all checks; 1 when one fails. With `measure` the machine's ceilings are measured first, and kept."""
    settings = read_settings()
    if measure:
        measure_and_keep(settings)
    checks = [check(settings) for check in _CHECKS]
    if as_json:
        environment = read_environment()
        ceilings = known_ceilings(settings.home, environment)
        print_json({"checks": checks, "ceilings": ceilings, "environment": environment})
    else:
        print_table(("check", "level", "found", "what to do"), [(c.name, c.level, c.found, c.advice) for c in checks])
    return 1 if any(check.level == "fail" for check in checks) else 0


def _accelerator(_: Settings) -> Check:
    gpus = read_environment()["gpus"]
    assert isinstance(gpus, list)
    found = ", ".join(gpu["name"] for gpu in gpus) or "none (engines run on the CPU)"
    return Check(name="GPU", level="ok", found=found if gpus else f"{detect_accelerator()}: {found}")


def _cores(_: Settings) -> Check:
    threads = psutil.cpu_count() or 1
    advice = "" if threads > 1 else "Engine and load generator share one core: latencies will be blurred"
    return Check(name="CPU", level="ok" if threads > 1 else "warn", found=f"{threads} threads", advice=advice)


def _load(_: Settings) -> Check:
    load = read_pressure()["load_1m"] or 0.0
    threads = psutil.cpu_count() or 1
    busy = load > 0.5 * threads
    advice = "Other work runs here; end it before you measure" if busy else ""
    return Check(name="load", level="warn" if busy else "ok", found=f"{load:.2f} over the last minute", advice=advice)


def _memory(_: Settings) -> Check:
    free = psutil.virtual_memory().available
    short = free < _MEMORY_NEEDED_BYTES
    advice = (
        "vLLM on a CPU needs about 3 GiB for even a small model; two engines side by side need 6 GiB" if short else ""
    )
    return Check(name="memory", level="warn" if short else "ok", found=f"{size_text(free)} available", advice=advice)


def _disk(settings: Settings) -> Check:
    folder = next(p for p in (settings.home, *settings.home.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    short = free < _DISK_NEEDED_BYTES
    advice = f"Engines need about 5 GiB; free some space or set TOKENFORGE_HOME (now {settings.home})" if short else ""
    return Check(name="disk", level="fail" if short else "ok", found=f"{size_text(free)} free", advice=advice)


def _timer(_: Settings) -> Check:
    over: list[float] = []
    for _attempt in range(200):
        began = time.perf_counter_ns()
        time.sleep(0.001)
        over.append((time.perf_counter_ns() - began) / 1e6 - 1.0)
    p99 = sorted(over)[int(0.99 * len(over))]
    late = p99 > _OVERSLEEP_MS
    advice = "Sends will be late by this much; measure on a quieter machine" if late else ""
    return Check(
        name="timer", level="warn" if late else "ok", found=f"p99 {p99:.2f} ms late on 1 ms sleeps", advice=advice
    )


def _files(_: Settings) -> Check:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = 0 <= hard < _FILES_NEEDED
    advice = f"Raise the limit (ulimit -Hn {_FILES_NEEDED}) to hold many streams" if few else ""
    return Check(name="open files", level="warn" if few else "ok", found=f"{hard} at most", advice=advice)


def _engines(settings: Settings) -> Check:
    installed = ", ".join(f"{e.runtime}@{e.version}" for e in list_environments(settings.home))
    advice = "" if installed else "`tokenforge bench` installs what it needs, or: tokenforge runtimes install vllm"
    return Check(name="runtimes", level="ok", found=installed or "none installed yet", advice=advice)


def _ceilings(settings: Settings) -> Check:
    known = known_ceilings(settings.home, read_environment())
    measured = any(one.kind is CeilingKind.MEASURED for one in known)
    advice = "" if measured else "`tokenforge doctor --measure` lets reports say how close a run came to the limit"
    found = "; ".join(ceiling_text(one) for one in known) or "not measured yet"
    return Check(name="ceilings", level="ok", found=found, advice=advice)


_CHECKS: tuple[Callable[[Settings], Check], ...] = (
    _accelerator, _cores, _load, _memory, _disk, _timer, _files, _engines, _ceilings,
)  # fmt: skip
