"""What a driver process gets of the kernel's attention, in a child, so that the tests keep theirs."""

import subprocess
import sys

IMPORT = "import os, subprocess\nfrom tokenforge.bench.driver.priority import take_priority\n"
SCRIPT = """
print(take_priority(), os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR, os.getpriority(0, 0), sep=";")
print(os.popen("cat /proc/self/stat").read().split()[40])
"""


def _told(before: str = "") -> list[str]:
    run = subprocess.run([sys.executable, "-c", IMPORT + before + SCRIPT], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_what_is_told_is_what_the_kernel_does() -> None:
    *words, child_policy = _told()
    told, is_real_time, nice = " ".join(words).split(";")
    assert (told == "real time") == (is_real_time == "True")
    assert told in {"real time", "normal"} or nice == "-10"
    assert child_policy == "0"


def test_without_the_right_to_it_nothing_breaks() -> None:
    drop = "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
    assert " ".join(_told(drop)).startswith("normal;False")


def test_sleeps_are_ended_without_slack() -> None:
    script = """
import ctypes
from tokenforge.bench.driver.priority import wake_sharply
wake_sharply()
print(ctypes.CDLL(None).prctl(30, 0, 0, 0, 0))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"
