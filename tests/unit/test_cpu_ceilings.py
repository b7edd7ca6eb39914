"""Measuring processors: caches as the system lists them, and figures of a plausible size from a short look."""

from pathlib import Path

from tokenforge.bench.cpu_ceilings import cache_bytes, measure_cpu


def write_cache(root: Path, *, cpu: int, index: int, level: int, size: str, shared: str) -> None:
    folder = root / f"cpu{cpu}" / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, text in (("level", str(level)), ("size", size), ("shared_cpu_list", shared)):
        (folder / name).write_text(text + "\n")


def test_a_shared_cache_counts_once_and_the_first_level_not_at_all(tmp_path: Path) -> None:
    for cpu in (0, 1):
        write_cache(tmp_path, cpu=cpu, index=0, level=1, size="48K", shared=str(cpu))
        write_cache(tmp_path, cpu=cpu, index=2, level=2, size="1024K", shared=str(cpu))
        write_cache(tmp_path, cpu=cpu, index=3, level=3, size="32M", shared="0-1")
    assert cache_bytes(tmp_path) == (2 << 20) + (32 << 20)


def test_a_system_that_lists_no_caches_has_none_known(tmp_path: Path) -> None:
    assert cache_bytes(tmp_path) == 0


def test_a_short_look_finds_figures_of_a_machine() -> None:
    reading = measure_cpu(round_s=0.01, most_bytes=32 << 20, matrix_sides=(256,))
    assert 1e9 < reading.float32_flops < 1e14
    assert 1e9 < reading.copy_bytes_per_s < 1e13
    assert 1e9 < reading.read_bytes_per_s < 1e13
    assert reading.threads >= 1
