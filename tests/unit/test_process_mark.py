"""A process is known by its id and its start, whatever is done to the clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tokenforge.cluster.process_mark import ProcessMark, is_alive, is_another, mark_of


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def mark(pid: int) -> ProcessMark:
    found = mark_of(pid)
    assert found is not None
    return found


def test_a_living_process_is_known_again(child: "subprocess.Popen[bytes]") -> None:
    assert is_alive(mark(child.pid))
    assert not is_another(mark(child.pid))


def test_a_step_of_the_wall_clock_makes_no_stranger_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before, began_s, booted_s = mark(os.getpid()), psutil.Process().create_time(), psutil.boot_time()
    monkeypatch.setattr(sys.modules["psutil._pslinux"], "boot_time", lambda: booted_s + 3_600.0)
    assert psutil.Process().create_time() > began_s + 3_500
    assert is_alive(before)


def test_a_dead_process_is_neither_alive_nor_another(child: "subprocess.Popen[bytes]") -> None:
    known = mark(child.pid)
    child.kill()
    child.wait()
    assert not is_alive(known)
    assert not is_another(known)


def test_a_zombie_counts_as_dead(child: "subprocess.Popen[bytes]") -> None:
    known = mark(child.pid)
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        os.sched_yield()
    assert not is_alive(known)


def test_the_same_id_with_another_start_is_another(child: "subprocess.Popen[bytes]") -> None:
    known = replace(mark(child.pid), started_s=1.0)
    assert not is_alive(known)
    assert is_another(known)


def test_the_same_id_and_start_in_another_boot_is_another(child: "subprocess.Popen[bytes]") -> None:
    assert is_another(replace(mark(child.pid), boot="an earlier one"))


def test_a_name_with_brackets_and_blanks_does_not_hide_the_start(tmp_path: Path) -> None:
    link = tmp_path / "a) b (c 1 2"
    link.symlink_to(Path(sys.executable).resolve())
    process = subprocess.Popen([link, "-c", "input()"], stdin=subprocess.PIPE, env={"PYTHONHOME": sys.base_prefix})
    try:
        assert mark(process.pid).started_s >= mark(os.getpid()).started_s
    finally:
        process.kill()
        process.communicate()
