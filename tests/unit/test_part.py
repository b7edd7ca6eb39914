"""The processes that `up` keeps: back at once when killed from outside, later and later when they do not stay."""

import subprocess
import sys
from pathlib import Path

import pytest

from tokenforge.cli.part import STEADY_S, Part, end_leftovers, pause_s, write_ledger
from tokenforge.cluster.process_mark import is_alive, mark_of

NOBODY = "no-such-command"


def part(folder: Path) -> Part:
    """One whose process ends by itself soon after it was started."""
    return Part(name="gateway", arguments=(NOBODY,), fds=(), log_path=folder / "gateway.log")


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)


def test_two_deaths_in_a_row_are_free_then_the_pause_doubles_up_to_five_seconds() -> None:
    assert [pause_s(n) for n in range(8)] == [0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 5.0]
    assert pause_s(10_000) == 5.0


def test_one_that_does_not_stay_waits_before_it_is_started_again(tmp_path: Path) -> None:
    kept = part(tmp_path)
    said: list[str] = []
    started = []
    for now_s in range(4):
        started.append(kept.keep(float(now_s), said.append))
        if kept.process is not None:
            kept.process.wait()
    assert kept.keep(3.4, said.append) is False
    assert (started, kept.quick_deaths, kept.next_s) == ([True, True, True, False], 3, 3.5)
    assert "gateway ended (status 2)" in said[0]


def test_one_that_lived_a_while_is_back_at_once_whatever_was_before(tmp_path: Path) -> None:
    kept = part(tmp_path)
    kept.process, kept.quick_deaths = sleeper(), 9
    kept.process.kill()
    kept.process.communicate()
    said: list[str] = []
    assert kept.keep(STEADY_S, said.append) is True
    assert kept.quick_deaths == 0
    assert "killed by SIGKILL" in said[0]
    assert kept.process is not None
    kept.process.wait()


def test_one_that_cannot_be_started_is_told_and_tried_again_later(tmp_path: Path) -> None:
    kept = Part(name="control", arguments=(), fds=(), log_path=tmp_path / "no" / "control.log")
    said: list[str] = []
    assert kept.keep(1.0, said.append) is False
    assert "cannot be started" in said[0]
    assert kept.keep(2.0, said.append) is False
    assert len(said) == 1


@pytest.mark.parametrize("is_hurried", [False, True])
def test_who_does_not_end_is_killed_at_once_when_one_is_in_a_hurry(tmp_path: Path, is_hurried: bool) -> None:
    kept = part(tmp_path)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); input()"
    kept.process = subprocess.Popen([sys.executable, "-c", deaf], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert kept.process.stdout is not None
    kept.process.stdout.readline()
    kept.end(limit_s=60.0 if is_hurried else 0.0, is_hurried=lambda: is_hurried)
    assert kept.process.returncode == -9
    kept.process.communicate()


def test_one_that_hangs_is_killed_and_told_and_the_next_look_starts_another(tmp_path: Path) -> None:
    kept = part(tmp_path)
    kept.process = sleeper()
    said: list[str] = []
    kept.replace("lives and does not answer", said.append)
    kept.process.communicate()
    assert said == ["gateway lives and does not answer; it is killed and started again"]
    assert kept.keep(STEADY_S, said.append) is True
    assert kept.process is not None
    kept.process.wait()


def test_what_a_killed_up_left_is_ended_by_the_next_one(tmp_path: Path) -> None:
    kept = part(tmp_path)
    kept.process = sleeper()
    left = mark_of(kept.process.pid)
    write_ledger(tmp_path, [kept])
    assert end_leftovers(tmp_path) == 1
    assert left is not None
    assert not is_alive(left)
    kept.process.communicate()
    assert end_leftovers(tmp_path) == 0


def test_a_ledger_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "parts.json").write_text('[{"pid": 1}]')
    assert end_leftovers(tmp_path) == 0
