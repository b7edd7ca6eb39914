"""Sample records of a run whose model and hardware are known: Llama 3 8B in bf16 on an H200."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from record_samples import Engine, Load, sample
from test_models_architecture import facts_of

from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.ceilings import Ceiling, CeilingKind
from tokenforge.domain.vendor_peaks import vendor_ceiling

ENGINE = Engine(runtime="vllm")
LOAD = Load(requests=120)
_PEAK = vendor_ceiling("NVIDIA H200")
assert _PEAK is not None
PEAK: Ceiling = _PEAK
MEASURED = replace(PEAK, kind=CeilingKind.MEASURED, flops={"bfloat16": 775e12}, bytes_per_s=4.39e12)


def hardware_record(
    *,
    engine: Engine = ENGINE,
    load: Load = LOAD,
    ceilings: tuple[Ceiling, ...] = (MEASURED, PEAK),
    architecture: object = None,
    details: Mapping[str, str] | None = None,
    benchmark: Mapping[str, object] | None = None,
    trials: int = 3,
) -> tuple[dict[str, Any], Any]:
    """A record and its requests; `details` and `benchmark` add to what they say by default."""
    plain, requests = sample([engine], [load], trials=trials)
    document: dict[str, Any] = dict(plain)
    environment = document["environment"]
    environment["models"][0]["architecture"] = to_plain(architecture or facts_of("llama-3-8b"))
    environment["ceilings"] = to_plain(ceilings)
    document["runs"][0]["engine"]["details"] = {"dtype": "bfloat16", "device": "cuda:0", **(details or {})}
    document["benchmark"].update(benchmark or {})
    return document, requests


def measured_run(**changes: Any) -> RunSummary:
    """The summary of `hardware_record(**changes)`'s only run."""
    return summarise(*hardware_record(**changes)).runs[0]
