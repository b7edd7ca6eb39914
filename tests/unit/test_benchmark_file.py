"""benchmark.yaml from the disk."""

from pathlib import Path

import pytest

from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.domain.errors import InvalidInput, NotFound

GOOD = """model: synthetic:tiny
runtimes: [sim]
workloads:
  - name: one
    qps: 5
    duration_s: 1
"""
ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "b.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    assert load_benchmark(write(tmp_path, GOOD)).workloads[0].qps == 5


def test_a_fault_tells_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"line 5: workloads\[0\]\.qps = -5"):
        load_benchmark(write(tmp_path, GOOD.replace("qps: 5", "qps: -5")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "model: again\n", "duplicate key"),
        ("a: [1, 2", "not valid YAML at line"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("", "must be a mapping"),
        (b"\xff\xfe\x00\x01", "not UTF-8"),
        ("#" * (1 << 20) + "#\n", "larger than"),
    ],
)
def test_a_file_that_is_no_benchmark_is_one_clear_error(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        load_benchmark(write(tmp_path, text))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        load_benchmark(tmp_path / "none.yaml")
    with pytest.raises(InvalidInput, match="not a file"):
        load_benchmark(tmp_path)


def test_no_is_a_word_in_yaml_1_2(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="name = 'no way'"):
        load_benchmark(write(tmp_path, GOOD.replace("name: one", "name: no way")))


def test_a_trace_beside_the_file_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("")
    text = GOOD.replace("    qps: 5\n    duration_s: 1\n", "    trace: {path: t.csv, format: azure}\n")
    trace = load_benchmark(write(tmp_path, text)).workloads[0].trace
    assert trace is not None
    assert trace.path == str(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("workloads/*.yaml"), *ROOT.glob("configs/*.yaml")]), ids=lambda p: p.name
)
def test_every_shipped_benchmark_is_valid(path: Path) -> None:
    assert load_benchmark(path).workloads
