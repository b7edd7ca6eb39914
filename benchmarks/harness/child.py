"""Runs a client through `measured.py`, within a limit, and reads what it cost."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_MEASURED = Path(__file__).with_name("measured.py")
_GRACE_S = 20.0
_LAST_WORDS = 3


class ChildFailed(Exception):
    """A command ended badly or not in time; the message says which, with its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a command took: monotonic ns of its start and end, and (ns, CPU seconds until then) of its process tree."""

    started_ns: int
    ended_ns: int
    samples: tuple[tuple[int, float], ...]

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the whole tree from start to end."""
        return self.samples[-1][1]

    def cpu_until(self, at_ns: int) -> float:
        """CPU seconds spent until `at_ns`, between samples by straight line."""
        times = [self.started_ns, *(at for at, _ in self.samples)]
        spent = [0.0, *(cpu for _, cpu in self.samples)]
        return float(np.interp(at_ns, times, spent))


def run_measured(command: Sequence[str], *, env: Mapping[str, str], folder: Path, limit_s: float) -> Cost:
    """Run `command` in `folder`, its output to `output.txt` there. Raises ChildFailed."""
    report, output = folder / "cost.json", folder / "output.txt"
    whole = [sys.executable, str(_MEASURED), str(report), str(limit_s), *command]
    with output.open("wb") as file:
        process = subprocess.Popen(
            whole, cwd=folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
        try:
            process.wait(limit_s + _GRACE_S)
        except BaseException:
            process.terminate()
            process.wait(_GRACE_S)
            raise
    if not report.exists():
        raise ChildFailed(f"{command[0]} could not be run: {last_words(output)}")
    facts = json.loads(report.read_text())
    if facts["timed_out"]:
        raise ChildFailed(f"did not end within {limit_s:.0f} s: {last_words(output)}")
    if facts["code"] != 0:
        raise ChildFailed(f"exit code {facts['code']}: {last_words(output)}")
    samples = tuple((int(at), float(cpu)) for at, cpu in facts["samples"])
    return Cost(started_ns=facts["started_ns"], ended_ns=facts["ended_ns"], samples=samples)


def last_words(output: Path) -> str:
    """The last lines of an output file, in one."""
    lines = [line.strip() for line in output.read_text(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_WORDS:])[-300:] or "it said nothing"
