"""This machine's ceilings: measured on request and kept, read for every benchmark, with the vendor's peak beside them.

Only the device that engines run on is measured. A GPU needs a torch, which the environment of an installed runtime
has; for processors numpy does, and torch, where there is one, adds bfloat16 and may reach more.
"""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tokenforge.bench.cpu_ceilings import CpuReading, measure_cpu
from tokenforge.domain.ceilings import Ceiling, CeilingKind
from tokenforge.domain.errors import EnvironmentFailed
from tokenforge.domain.runtime import Accelerator
from tokenforge.domain.vendor_peaks import vendor_ceiling
from tokenforge.runtimes.environments import Environment
from tokenforge.store.ceilings_file import read_ceilings

_PROGRAM = Path(__file__).parents[1] / "runtimes" / "torch_ceilings.py"
_TORCH_LIMIT_S = 120.0

Plain = Mapping[str, object]


def machine_of(environment: Plain) -> Plain:
    """What tells this machine from another: its processor, how many threads of it, its GPUs."""
    machine, gpus = environment.get("machine"), environment.get("gpus")
    known = machine if isinstance(machine, Mapping) else {}
    return {"cpu_model": known.get("cpu_model"), "cpu_threads": known.get("cpu_threads"), "gpus": _gpu_names(gpus)}


def known_ceilings(home: Path, environment: Plain) -> tuple[Ceiling, ...]:
    """What was measured here, then what the vendor says of the first GPU. `environment` as `read_environment` gives."""
    machine = machine_of(environment)
    names = _gpu_names(environment.get("gpus"))
    vendor = vendor_ceiling(names[0]) if names else None
    return (*read_ceilings(home, machine), *(() if vendor is None else (vendor,)))


def measure_ceilings(
    *,
    accelerator: Accelerator,
    environments: Sequence[Environment],
    cpu_name: str,
    base_env: Mapping[str, str],
    today: str,
    tell: Callable[[str], None],
) -> tuple[Ceiling, ...]:
    """Measure the device that engines run on (under 20 s; torch may take some of it to load).

    Raises EnvironmentFailed when a GPU is to be measured and no environment has torch, or the torch there failed.
    """
    with_torch = next((one for one in environments if "torch" in one.packages), None)
    if accelerator is Accelerator.CUDA:
        if with_torch is None:
            hint = "`tokenforge runtimes install vllm` makes an environment that has it"
            raise EnvironmentFailed("Measuring a GPU needs torch, and no runtime is installed", hint=hint)
        tell("measuring the GPU with torch")
        return (_gpu_ceiling(run_torch(with_torch.python, "cuda", base_env=base_env), today),)
    tell("measuring the processors with numpy")
    reading = measure_cpu()
    found: Plain = {}
    if with_torch is not None:
        tell("measuring the processors with torch")
        try:
            found = run_torch(with_torch.python, "cpu", base_env=base_env)
        except EnvironmentFailed as error:
            tell(f"going on without torch: {error}")
    return (cpu_ceiling(reading, found, device=cpu_name, today=today),)


def run_torch(python: Path, device: str, *, base_env: Mapping[str, str]) -> Plain:
    """What `torch_ceilings.py` found. Raises EnvironmentFailed with its last words."""
    command = [str(python), "-I", str(_PROGRAM), device]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TORCH_LIMIT_S, check=True, env=dict(base_env)
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        words = str(getattr(error, "stderr", "") or error).strip().splitlines()
        hint = f"run it by hand: {' '.join(command)}"
        raise EnvironmentFailed(f"torch could not measure the {device} device: {words[-1]}", hint=hint) from error
    return found if isinstance(found, Mapping) else {}


def cpu_ceiling(reading: CpuReading, found: Plain, *, device: str, today: str) -> Ceiling:
    """The better of numpy and torch in each figure."""
    flops = _rates(found.get("flops"))
    traffic = [_rate(found, "copy_bytes_per_s"), _rate(found, "read_bytes_per_s")]
    by = f"numpy {np.__version__}" + (f" and torch {found['torch']}" if "torch" in found else "")
    return Ceiling(
        kind=CeilingKind.MEASURED,
        device=device,
        accelerator=Accelerator.CPU,
        flops={**flops, "float32": max(reading.float32_flops, flops.get("float32", 0.0))},
        bytes_per_s=max(reading.copy_bytes_per_s, reading.read_bytes_per_s, *traffic),
        cache_bytes=reading.cache_bytes,
        source=f"tokenforge doctor --measure, {by}, {reading.threads} threads",
        as_of=today,
    )


def _gpu_ceiling(found: Plain, today: str) -> Ceiling:
    flops = _rates(found.get("flops"))
    return Ceiling(
        kind=CeilingKind.MEASURED,
        device=str(found.get("device")),
        accelerator=Accelerator.CUDA,
        flops={**flops, "float16": flops.get("bfloat16", 0.0)},
        bytes_per_s=max(_rate(found, "copy_bytes_per_s"), _rate(found, "read_bytes_per_s")),
        cache_bytes=int(_rate(found, "cache_bytes")),
        source=f"tokenforge doctor --measure, torch {found.get('torch')}",
        as_of=today,
    )


def _gpu_names(gpus: object) -> list[str]:
    listed = gpus if isinstance(gpus, list | tuple) else []
    return [str(gpu["name"]) for gpu in listed if isinstance(gpu, Mapping) and "name" in gpu]


def _rates(value: object) -> dict[str, float]:
    items = value.items() if isinstance(value, Mapping) else ()
    return {str(name): float(rate) for name, rate in items if isinstance(rate, int | float)}


def _rate(found: Plain, key: str) -> float:
    value = found.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
