"""benchmark.yaml files made to hurt."""

from pathlib import Path

import pytest

from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.domain.errors import InvalidInput

HEAD = "model: synthetic:tiny\nruntimes: [sim]\n"
LOAD = "workloads: [{name: a, qps: 1, requests: 5}]\n"


def load(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.yaml").write_text(text)
    load_benchmark(tmp_path / "b.yaml")


def test_aliases_that_explode_are_refused(tmp_path: Path) -> None:
    layers = "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    bomb = f"{HEAD}{LOAD}engine_args:\n sim:\n  a0: &a0 [1]\n{layers}"
    with pytest.raises(InvalidInput, match="once its aliases are written out"):
        load(tmp_path, bomb)


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nested too deeply"):
        load(tmp_path, f"{HEAD}{LOAD}engine_args: {{sim: {{a: {'[' * 800}{']' * 800}}}}}\n")


def test_aliases_and_merged_keys_may_be_used(tmp_path: Path) -> None:
    text = HEAD + "workloads:\n  - &base {name: a, qps: 1, requests: 5}\n  - {<<: *base, name: b}\n"
    (tmp_path / "b.yaml").write_text(text)
    assert [workload.requests for workload in load_benchmark(tmp_path / "b.yaml").workloads] == [5, 5]


@pytest.mark.parametrize("text", ["a: b: c", "a: [1", "\x00", "a: 1\n---\nb: 2\n", "a: !!python/object:os.system {}"])
def test_what_is_no_yaml_of_ours_is_one_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput):
        load(tmp_path, text)
