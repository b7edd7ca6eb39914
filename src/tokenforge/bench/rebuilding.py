"""Rebuild what a run's files claim: its spec, the plan of every trial, its pages. Nothing is run.

A plan depends on the model's tokenizer and window and on how prompts travelled. The first two are found here; the last
is not recorded in so many words, so the ways are tried until the first trial's digest comes out. What can't be rebuilt
for want of a file is said, not guessed.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tokenforge.analysis.document import Plain, mapping, mappings, text, whole
from tokenforge.bench.outcome import report_again
from tokenforge.bench.plan import plan_trial
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.canonical import sha256_hex
from tokenforge.domain.errors import TokenForgeError
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.workload import Workload
from tokenforge.protocol.worker_spec import read_record
from tokenforge.store.artifacts import RECORD_FILE, REPORT_FILE, REQUESTS_FILE
from tokenforge.store.bundle import Manifest, file_sha256

FindTokenizer = Callable[[str], PromptTokenizer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One claim. `equal` is None where it could not be checked; `detail` says what was compared, or why not."""

    name: str
    equal: bool | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a run's prompts were made."""

    tokenizer: PromptTokenizer | None
    form: PromptForm
    window: int | None


def read_benchmark(record: Plain) -> Benchmark:
    """The resolved spec of a record. Raises InvalidInput with every field that this version can't read."""
    return read_record(Benchmark, record.get("benchmark"), source="the recorded spec")


def check_spec(record: Plain) -> Check:
    """Whether the recorded spec has the hash that was recorded with it."""
    said, found = text(record, "spec_hash") or "", sha256_hex(record.get("benchmark"))
    detail = f"SHA-256 {found[:12]}" if said == found else f"SHA-256 {found[:12]}, recorded {said[:12]}"
    return Check(name="spec", equal=said == found, detail=detail)


def check_plans(record: Plain, find_tokenizer: FindTokenizer, *, trace: Path | None = None) -> Iterator[Check]:
    """One check per run: every trial's plan drawn again. `trace` replaces the path of recorded traces."""
    benchmark = read_benchmark(record)
    workloads = {one.name: _with_trace(one, trace) for one in benchmark.workloads}
    for run in mappings(record, "runs"):
        name = f"plans of {text(run, 'workload')} on {text(run, 'runtime')}"
        workload = workloads.get(text(run, "workload") or "")
        digests = {whole(one, "trial") or 0: text(one, "plan_digest") or "" for one in mappings(run, "trials")}
        if workload is None or not digests:
            yield Check(name=name, equal=None, detail="the record has no trial of it")
            continue
        try:
            ways = _ways(run, find_tokenizer)
            yield _check_run(name, workload, digests, seed=benchmark.seed, ways=ways)
        except TokenForgeError as error:
            yield Check(name=name, equal=None, detail=f"can't be drawn here: {error}")


def check_pages(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """The report and the record's summary, made again from record and requests in a folder of their own."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for file in (RECORD_FILE, REQUESTS_FILE):
            shutil.copyfile(folder / file, copy / file)
        report_again(copy)
        made = {REPORT_FILE: manifest.report_sha256, RECORD_FILE: manifest.files[RECORD_FILE]}
        for file, said in made.items():
            found = file_sha256(copy / file)
            detail = f"SHA-256 {found[:12]}" if found == said else f"SHA-256 {found[:12]}, exported {said[:12]}"
            yield Check(name=f"{file} made again", equal=found == said, detail=detail)


def _check_run(name: str, workload: Workload, digests: Mapping[int, str], *, seed: int, ways: Sequence[_Way]) -> Check:
    first = min(digests)
    way = next((way for way in ways if _is_way(way, digests[first], workload, first, seed)), ways[0])
    wrong = [trial for trial in sorted(digests) if _digest(workload, trial, seed, way) != digests[trial]]
    if wrong:
        shown = ", ".join(map(str, wrong[:5]))
        return Check(name=name, equal=False, detail=f"{len(wrong)} of {len(digests)} digests differ (trials {shown})")
    return Check(name=name, equal=True, detail=f"{len(digests)} of {len(digests)} digests")


def _ways(run: Plain, find_tokenizer: FindTokenizer) -> list[_Way]:
    """What may have been, the likeliest first. Only a bare address is measured without the model's tokenizer."""
    engine = mapping(run, "engine")
    window = whole(engine, "max_model_len")
    likely = PromptForm.TOKEN_IDS if engine.get("token_level") is True else PromptForm.TEXT
    forms = sorted(PromptForm, key=lambda form: form is not likely)
    words = [_Way(tokenizer=None, form=form, window=None) for form in forms]
    try:
        tokenizer = find_tokenizer(text(run, "model") or "")
    except TokenForgeError:
        if engine:
            raise
        return words
    return [_Way(tokenizer=tokenizer, form=form, window=window) for form in forms] + words


def _is_way(way: _Way, digest: str, workload: Workload, trial: int, seed: int) -> bool:
    with suppress(TokenForgeError):
        return _digest(workload, trial, seed, way) == digest
    return False


def _digest(workload: Workload, trial: int, seed: int, way: _Way) -> str:
    plan = plan_trial(workload, trial=trial, seed=seed, tokenizer=way.tokenizer, window=way.window, form=way.form)
    return plan.digest


def _with_trace(workload: Workload, path: Path | None) -> Workload:
    if workload.trace is None or path is None:
        return workload
    return replace(workload, trace=replace(workload.trace, path=str(path)))
