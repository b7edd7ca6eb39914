"""Ceilings kept per machine, read with the vendor's peak, and measured by another Python's torch."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from limit_samples import MEASURED

from tokenforge.bench.ceilings import cpu_ceiling, known_ceilings, machine_of, measure_ceilings, run_torch
from tokenforge.bench.cpu_ceilings import CpuReading
from tokenforge.domain.ceilings import CeilingKind
from tokenforge.domain.errors import EnvironmentFailed, StoreFailed
from tokenforge.domain.runtime import Accelerator
from tokenforge.store.ceilings_file import ceilings_file, read_ceilings, write_ceilings

MACHINE = {"cpu_model": "Example", "cpu_threads": 8, "gpus": ["NVIDIA H200"]}
ENVIRONMENT = {"machine": {"cpu_model": "Example", "cpu_threads": 8}, "gpus": [{"name": "NVIDIA H200"}]}
READING = CpuReading(float32_flops=200e9, copy_bytes_per_s=40e9, read_bytes_per_s=60e9, cache_bytes=32 << 20, threads=2)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    write_ceilings(tmp_path / "home", MACHINE, [MEASURED])
    assert read_ceilings(tmp_path / "home", MACHINE) == (MEASURED,)


def test_machines_that_share_a_home_keep_their_own(tmp_path: Path) -> None:
    write_ceilings(tmp_path, MACHINE, [MEASURED])
    assert read_ceilings(tmp_path, {**MACHINE, "cpu_threads": 4}) == ()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "tokenforge.ceilings/1", "ceilings": [{"kind": "odd"}]}', "{}"])
def test_a_broken_file_counts_as_not_measured(tmp_path: Path, text: str) -> None:
    ceilings_file(tmp_path, MACHINE).write_text(text)
    assert read_ceilings(tmp_path, MACHINE) == ()


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StoreFailed, match="home"):
        write_ceilings(tmp_path / "home", MACHINE, [MEASURED])


def test_the_machine_s_own_ceilings_come_before_the_vendor_s(tmp_path: Path) -> None:
    write_ceilings(tmp_path, machine_of(ENVIRONMENT), [MEASURED])
    assert [one.kind for one in known_ceilings(tmp_path, ENVIRONMENT)] == [CeilingKind.MEASURED, CeilingKind.VENDOR]


def test_a_machine_without_a_gpu_has_no_vendor_ceiling(tmp_path: Path) -> None:
    assert known_ceilings(tmp_path, {**ENVIRONMENT, "gpus": []}) == ()


def test_the_better_of_numpy_and_torch_is_the_ceiling() -> None:
    found = {"flops": {"float32": 150e9, "bfloat16": 400e9}, "copy_bytes_per_s": 70e9, "read_bytes_per_s": 50e9}
    ceiling = cpu_ceiling(READING, {**found, "torch": "2.0"}, device="Example", today="2026-01-01")
    assert ceiling.flops == {"float32": 200e9, "bfloat16": 400e9}
    assert ceiling.bytes_per_s == 70e9
    assert "torch 2.0" in ceiling.source


def test_processors_without_torch_have_numpy_s_ceiling() -> None:
    ceiling = cpu_ceiling(READING, {}, device="Example", today="2026-01-01")
    assert (ceiling.flops, ceiling.bytes_per_s) == ({"float32": 200e9}, 60e9)
    assert ceiling == replace(ceiling, kind=CeilingKind.MEASURED, accelerator=Accelerator.CPU, as_of="2026-01-01")


def test_a_gpu_without_any_torch_is_told_how_to_get_it() -> None:
    with pytest.raises(EnvironmentFailed, match="runtimes install"):
        measure_ceilings(
            accelerator=Accelerator.CUDA, environments=(), cpu_name="", base_env={}, today="", tell=lambda _: None
        )


def test_a_python_that_cannot_measure_leaves_its_last_words() -> None:
    with pytest.raises(EnvironmentFailed, match=r"torch could not measure the cpu device: .*torch"):
        run_torch(Path(sys.executable), "cpu", base_env={})
