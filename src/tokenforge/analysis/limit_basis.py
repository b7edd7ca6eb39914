"""What a run's limit is computed from: the model as it was served, the devices, their ceilings. Read from the record.

Where a piece is missing there is no limit, and the reason is a sentence for the reader. It refuses to guess: weights
packed in a way it does not know, or several tokens a step by drafts, give no limit rather than a wrong one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tokenforge.analysis.document import Plain, mapping, mappings, number, text, whole
from tokenforge.analysis.limits import Machine
from tokenforge.domain.ceilings import Ceiling, CeilingKind
from tokenforge.domain.runtime import Accelerator
from tokenforge.models.architecture import Architecture
from tokenforge.models.architecture_record import recorded_architecture

_FORMAT_BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
_QUANT_BITS: Mapping[str, int] = {"fp8": 8, "int8": 8, "int4": 4, "awq": 4, "gptq": 4}
_NO_CEILINGS = (
    "this machine's ceilings are not known; `tokenforge doctor --measure` measures them in 20 s, for later runs"
)
_KNOWN_WORDS = frozenset({"vllm", "transformers"})
_PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitBasis:
    """`model` has the number format it was served in, `number_format` is its name; `devices` worked together.

    `most_running` is how many sequences the engine runs at once, None where it does not say.
    """

    model: Architecture
    number_format: str
    kv_dtype_bytes: int
    devices: int
    ceilings: tuple[Ceiling, ...]
    most_running: int | None

    def machine(self, ceiling: Ceiling) -> Machine:
        """All devices together. FLOP/s are None for packed weights, whose arithmetic may be narrower than 16 bits."""
        rate = ceiling.flops.get(self.number_format) if self.model.quant_bits is None else None
        return Machine(
            flops=rate * self.devices if rate else None,
            bytes_per_s=ceiling.bytes_per_s * self.devices,
        )

    def cache_bytes(self, ceiling: Ceiling) -> int:
        """Caches of all devices."""
        return ceiling.cache_bytes * self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBasis:
    """Why there is no limit for a run: the rest of a sentence that begins "no limit:"."""

    reason: str


def read_bases(document: Plain) -> Sequence[LimitBasis | NoBasis]:
    """The basis of each run of a record, in its order."""
    return [read_basis(document, run) for run in mappings(document, "runs")]


def read_basis(document: Plain, run: Plain) -> LimitBasis | NoBasis:
    """The basis of one run of a record."""
    engine = mapping(run, "engine")
    details = mapping(engine, "details")
    benchmark = mapping(document, "benchmark")
    runtime = str(run.get("runtime")).partition("@")[0]
    args = mapping(mapping(benchmark, "engine_args"), runtime)
    model = _model(document, str(run.get("model")))
    if engine.get("simulated") is True:
        return NoBasis(reason="the engine is simulated, no hardware computed")
    if number(run, "start_s") is None:
        return NoBasis(reason="the server was not started here, so its hardware is not known")
    if model is None:
        return NoBasis(reason="the record does not hold the model's architecture")
    if any("speculative" in name for name in args):
        return NoBasis(reason="the engine drafts tokens ahead, so a step may give several")
    served = _as_served(model, details, benchmark)
    if isinstance(served, NoBasis):
        return served
    ceilings = _ceilings(document, str(details.get("device") or ""))
    if not ceilings:
        return NoBasis(reason=_NO_CEILINGS)
    return LimitBasis(
        model=served,
        number_format=served.dtype,
        kv_dtype_bytes=1 if "fp8" in str(args.get("kv_cache_dtype")) else served.dtype_bytes,
        devices=1 if details.get("device") == "cpu" else _devices(document, runtime, args),
        ceilings=ceilings,
        most_running=_most_running(engine, args),
    )


def _model(document: Plain, name: str) -> Architecture | None:
    models = [item for item in mappings(mapping(document, "environment"), "models") if item.get("model") == name]
    return recorded_architecture(models[0].get("architecture")) if models else None


def _as_served(model: Architecture, details: Plain, benchmark: Plain) -> Architecture | NoBasis:
    """The model in the number format that the engine names."""
    name = text(details, "dtype")
    if name is None:
        return NoBasis(reason="the engine does not tell the number format it computes in")
    if name not in _FORMAT_BYTES:
        return NoBasis(reason=f"the engine computes in a format that is not known here ({name})")
    asked = _QUANT_BITS.get(str(benchmark.get("quant")))
    packed = str(details.get("quantization") or "none")
    if model.quant_bits is None and asked is None and packed != "none":
        return NoBasis(reason=f"the engine packs weights in a way that is not known here ({packed})")
    return replace(model, dtype=name, dtype_bytes=_FORMAT_BYTES[name], quant_bits=asked or model.quant_bits)


def _devices(document: Plain, runtime: str, args: Plain) -> int:
    """How many devices one engine used at most: what it was told, all there are where its words are not known here.

    More than there were would only raise the limit.
    """
    if runtime not in _KNOWN_WORDS:
        return max(1, len(mappings(mapping(document, "environment"), "gpus")))
    tensor, *others = (whole(args, name) or 1 for name in _PARALLEL)
    asked = whole(mapping(mapping(document, "benchmark"), "resources"), "gpu") or 1
    return max(1, max(tensor, asked) * math.prod(others))


def _most_running(engine: Plain, args: Plain) -> int | None:
    """An engine tells how many sequences one of its replicas runs at once."""
    told = whole(engine, "max_num_seqs")
    return None if told is None else told * (whole(args, "data_parallel_size") or 1)


def _ceilings(document: Plain, device: str) -> tuple[Ceiling, ...]:
    """Those of the device the engine names; all when it names none."""
    found = [_ceiling(item) for item in mappings(mapping(document, "environment"), "ceilings")]
    kind = {"cpu": Accelerator.CPU, "cud": Accelerator.CUDA}.get(device[:3])
    return tuple(one for one in found if one is not None and (kind is None or one.accelerator is kind))


def _ceiling(item: Plain) -> Ceiling | None:
    rate, cache = number(item, "bytes_per_s"), whole(item, "cache_bytes")
    try:
        kind, accelerator = CeilingKind(str(item.get("kind"))), Accelerator(str(item.get("accelerator")))
    except ValueError:
        return None
    if rate is None or rate <= 0 or cache is None:
        return None
    flops = {name: float(value) for name, value in mapping(item, "flops").items() if isinstance(value, int | float)}
    return Ceiling(
        kind=kind,
        device=str(item.get("device")),
        accelerator=accelerator,
        flops=flops,
        bytes_per_s=rate,
        cache_bytes=cache,
        source=str(item.get("source")),
        as_of=str(item.get("as_of")),
    )
