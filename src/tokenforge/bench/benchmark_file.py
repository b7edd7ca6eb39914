"""`benchmark.yaml` from the disk: YAML 1.2, duplicate keys refused, faults with the line they stand on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tokenforge.bench.dataset_formats import DATASET_LOADERS
from tokenforge.bench.loaders import DATASETS, TRACES, known_formats
from tokenforge.bench.trace_formats import TRACE_LOADERS
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import Fault, InvalidInput, NotFound
from tokenforge.domain.workload import Workload
from tokenforge.protocol.benchmark import parse_benchmark
from tokenforge.protocol.benchmark_workload_rules import Formats

_MAX_BYTES = 1 << 20
_MAX_VALUES = 100_000
_STEP = re.compile(r"[^.\[\]]+")


def load_benchmark(path: Path) -> Benchmark:
    """Read the file. Raises NotFound when there is none, InvalidInput for anything in it that cannot be used."""
    tree = _tree(path)
    plain = _plain(tree, path)
    try:
        benchmark = parse_benchmark(plain, source=str(path), formats=readable_formats())
    except InvalidInput as error:
        raise InvalidInput([_with_line(fault, tree) for fault in error.faults], source=str(path)) from None
    return replace(benchmark, workloads=tuple(_found_from(path.parent, entry) for entry in benchmark.workloads))


def read_body(path: Path) -> dict[str, object]:
    """The file as the body of `POST /benchmarks/run`; the server says what it makes of it. Raises as above."""
    return _plain(_tree(path), path)


def _tree(path: Path) -> Mapping[str, object]:
    tree = _parse(_read(path), path)
    if not isinstance(tree, Mapping):
        raise InvalidInput([_whole(path, "must be a mapping of keys (model, runtimes, workloads)")], source=str(path))
    return tree


def _read(path: Path) -> str:
    if not path.exists():
        raise NotFound(f"{path} does not exist", hint="Name a benchmark.yaml; configs/benchmark.yaml is an example")
    if not path.is_file():
        raise InvalidInput([_whole(path, "is not a file")], source=str(path))
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidInput([_whole(path, f"is larger than {_MAX_BYTES:,} bytes")], source=str(path))
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput([_whole(path, f"can't be read: {error.strerror}")], source=str(path)) from None
    except UnicodeDecodeError:
        raise InvalidInput([_whole(path, "is not UTF-8 text")], source=str(path)) from None


def _parse(text: str, path: Path) -> object:
    yaml = YAML(typ="rt", pure=True)
    yaml.allow_duplicate_keys = False
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f" at line {mark.line + 1}"
        problem = str(error.problem or error.context).splitlines()[0]
        raise InvalidInput([_whole(path, f"is not valid YAML{line}: {problem}")], source=str(path)) from None
    except YAMLError as error:
        raise InvalidInput([_whole(path, f"is not valid YAML: {error}")], source=str(path)) from None
    except RecursionError:
        raise InvalidInput([_whole(path, "is nested too deeply")], source=str(path)) from None


def _plain(value: object, path: Path) -> dict[str, object]:
    """The tree without ruamel's own types. Aliases are written out, so what they make of a small file is bounded."""
    try:
        plain = _bare(value, iter(range(_MAX_VALUES)))
    except (RecursionError, StopIteration):
        message = f"holds more than {_MAX_VALUES:,} values once its aliases are written out"
        raise InvalidInput([_whole(path, message)], source=str(path)) from None
    assert isinstance(plain, dict)
    return plain


def _bare(value: object, budget: Iterator[int]) -> object:
    next(budget)
    if isinstance(value, Mapping):
        return {str(key): _bare(item, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_bare(item, budget) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _with_line(fault: Fault, tree: Mapping[str, object]) -> Fault:
    """The same fault, its field preceded by the line of the deepest key of its path that exists."""
    node: object = tree
    line: int | None = None
    for step in _STEP.findall(fault.field):
        key: object = int(step) if step.isdigit() else step
        position = getattr(node, "lc", None)
        try:
            spot = position.item(key) if isinstance(node, list) else position.key(key)  # type: ignore[union-attr]
            line, node = spot[0] + 1, node[key]  # type: ignore[index]
        except (KeyError, IndexError, AttributeError, TypeError):
            break
    return fault if line is None else replace(fault, field=f"line {line}: {fault.field}")


def readable_formats() -> Formats:
    return Formats(traces=known_formats(TRACES, TRACE_LOADERS), datasets=known_formats(DATASETS, DATASET_LOADERS))


def _found_from(folder: Path, workload: Workload) -> Workload:
    """Relative files are looked for beside the YAML first, then from where the command runs."""
    if workload.trace is not None:
        workload = replace(workload, trace=replace(workload.trace, path=_beside(folder, workload.trace.path)))
    if workload.dataset is not None:
        workload = replace(workload, dataset=replace(workload.dataset, path=_beside(folder, workload.dataset.path)))
    return workload


def _beside(folder: Path, name: str) -> str:
    return str(folder / name) if (folder / name).exists() else str(Path(name).expanduser())


def _whole(path: Path, message: str) -> Fault:
    return Fault(field="FILE", value=str(path), message=message)
