"""Run a recorded benchmark again: the same spec, each engine at the version that was measured where it can be had.

Refuses what cannot be the same (a secret that was hidden, a server known by its address alone) and, unless told
otherwise, what runs somebody else's code: a record may come from a stranger.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tokenforge.analysis.document import Plain, mappings, text
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.runtime import Accelerator, RuntimeRef
from tokenforge.domain.secrets import HIDDEN
from tokenforge.runtimes.registry import find_plug

_RUNS_CODE = ("command", "trust_remote_code")


def repeatable(benchmark: Benchmark, record: Plain, *, accelerator: Accelerator, is_trusted: bool) -> Benchmark:
    """The benchmark to run. Raises InvalidInput with everything that stands against it."""
    faults = list(_faults(benchmark, record, is_trusted=is_trusted))
    if faults:
        raise InvalidInput(faults, source="the recorded benchmark")
    versions = _versions(record)
    runtimes = tuple(_pinned(ref, versions.get(ref.name), accelerator) for ref in benchmark.runtimes)
    return replace(benchmark, runtimes=runtimes)


def _faults(benchmark: Benchmark, record: Plain, *, is_trusted: bool) -> Iterator[Fault]:
    if benchmark.comparison is not None:
        hint = f"run it again yourself: {text(record, 'command') or 'tokenforge compare A B'}"
        message = "compares two sides, which --run can't start; its plans and pages can be checked"
        yield Fault(field="comparison", value=benchmark.comparison.metric, message=message, hint=hint)
        return
    for run in mappings(record, "runs"):
        if run.get("runtime") == "url":
            hint = "measure it again with `tokenforge bench --url`, then `tokenforge gate`"
            address = text(run, "target_url")
            yield Fault(field="target_url", value=address, message="is a server that was not started here", hint=hint)
    for name, args in benchmark.engine_args.items():
        for key, value in args.items():
            field = f"engine_args.{name}.{key}"
            if value == HIDDEN:
                hint = "put it into a benchmark.yaml of your own and run that"
                yield Fault(field=field, value=value, message="was left out of the record as a secret", hint=hint)
            if key in _RUNS_CODE and value and not is_trusted:
                hint = "read it first, then pass --trust"
                yield Fault(field=field, value=value, message="runs code that came with the bundle", hint=hint)


def _versions(record: Plain) -> Mapping[str, str]:
    """The version that each runtime was measured at; a runtime at two versions names them itself."""
    labels = [(text(run, "runtime") or "").partition("@") for run in mappings(record, "runs")]
    return {name: version for name, _, version in labels if version}


def _pinned(ref: RuntimeRef, version: str | None, accelerator: Accelerator) -> RuntimeRef:
    """The version measured, unless the user named one or it can't be made here (the comparison then names it)."""
    if ref.version is not None or version is None:
        return ref
    try:
        find_plug(ref.name).recipe(version, accelerator)
    except InvalidInput:
        return ref
    return replace(ref, version=version)
