"""Logs are cut to their newer half, in place, under whoever writes them."""

import os
from pathlib import Path

from tokenforge.cluster.log_file import trim_logs


def filled(path: Path, lines: int) -> Path:
    path.write_text("".join(f"line {number:05}\n" for number in range(lines)))
    return path


def test_a_log_that_is_too_large_keeps_its_newest_whole_lines(tmp_path: Path) -> None:
    log = filled(tmp_path / "a.log", 1_000)
    assert trim_logs([log], most_bytes=6_000) == [log]
    kept = log.read_text().splitlines()
    assert (kept[-1], log.stat().st_size <= 3_000) == ("line 00999", True)
    assert all(len(line) == len("line 00000") for line in kept)


def test_a_small_log_and_one_that_is_gone_are_left_alone(tmp_path: Path) -> None:
    log = filled(tmp_path / "a.log", 10)
    before = log.read_bytes()
    assert trim_logs([log, tmp_path / "gone.log"], most_bytes=6_000) == []
    assert log.read_bytes() == before


def test_who_holds_the_file_open_writes_on_at_its_end(tmp_path: Path) -> None:
    log = filled(tmp_path / "a.log", 1_000)
    with log.open("ab", buffering=0) as writer:
        writer.write(b"before\n")
        trim_logs([log], most_bytes=6_000)
        writer.write(b"after\n")
    assert log.read_text().splitlines()[-2:] == ["before", "after"]
    assert log.stat().st_size < 4_000


def test_one_line_without_an_end_leaves_an_empty_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 10_000)
    trim_logs([log], most_bytes=6_000)
    assert log.stat().st_size == 0
    assert os.access(log, os.W_OK)
