"""`doctor --measure`: measure this machine's ceilings, keep them, and say them in words."""

import os
import sys
from datetime import UTC, datetime

from tokenforge.bench.ceilings import machine_of, measure_ceilings
from tokenforge.bench.environment import detect_accelerator, read_environment, read_pressure
from tokenforge.domain.ceilings import Ceiling
from tokenforge.report.limits import rate_text
from tokenforge.runtimes.environments import list_environments
from tokenforge.settings import Settings
from tokenforge.store.ceilings_file import write_ceilings


def measure_and_keep(settings: Settings) -> None:
    """Measure and write to the home folder; progress goes to standard error."""
    environment = read_environment()
    machine = machine_of(environment)
    load, threads = read_pressure()["load_1m"] or 0.0, os.cpu_count() or 1
    if load > 0.5 * threads:
        _tell(f"the machine is busy (load {load:.1f} on {threads} threads): its ceilings will come out too low")
    ceilings = measure_ceilings(
        accelerator=detect_accelerator(),
        environments=list_environments(settings.home),
        cpu_name=str(machine["cpu_model"] or "processors"),
        base_env=settings.child_env,
        today=f"{datetime.now(UTC):%Y-%m-%d}",
        tell=_tell,
    )
    path = write_ceilings(settings.home, machine, ceilings)
    _tell(f"kept in {path}")


def ceiling_text(ceiling: Ceiling) -> str:
    """`measured 2026-01-31: 45.2 GB/s, 210 GFLOP/s in float32`."""
    rates = [f"{rate_text(ceiling.bytes_per_s)}B/s"]
    rates += [f"{rate_text(rate)}FLOP/s in {name}" for name, rate in sorted(ceiling.flops.items())]
    return f"{ceiling.kind} {ceiling.as_of}: {', '.join(rates)}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
