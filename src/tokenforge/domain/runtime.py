"""Runtime: an engine plug by name, at a version, in an environment of its own (`vllm@0.32.0`)."""

import enum
import re
from dataclasses import dataclass

from tokenforge.domain.errors import Fault, InvalidInput

_REF = re.compile(r"^(?P<name>[a-z][a-z0-9_-]*)(@(?P<version>[0-9][0-9A-Za-z.+!-]*))?$")


class Quant(enum.StrEnum):
    """Weight formats a user may ask for; what a runtime cannot do is refused with what it can."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    INT8 = "int8"
    INT4 = "int4"
    AWQ = "awq"
    GPTQ = "gptq"


class Accelerator(enum.StrEnum):
    """What the engine computes on; decides which build of it is installed."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RuntimeRef:
    """A runtime as the user named it. `version` None means the version the plug recommends."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


def parse_runtime(text: str, *, field: str = "runtime") -> RuntimeRef:
    """Read `NAME` or `NAME@VERSION`. Raises InvalidInput; whether the plug exists is the registry's question."""
    match = _REF.match(text)
    if match is None:
        hint = "write NAME or NAME@VERSION, for example vllm or vllm@0.32.0"
        raise InvalidInput([Fault(field=field, value=text, message="is not a runtime", hint=hint)])
    return RuntimeRef(name=match["name"], version=match["version"])
