"""The harness's own folder: an environment per peer, made once from its packages, and a tokenizer for those that ask.

Environments are made with `venv` and `pip`, each with nothing but the peer in it, and reused while the list of
packages is the same. A peer that cannot be installed is told as `CannotInstall`, with pip's own last words.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.models.synthetic import make_synthetic

PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check")
"""The first arguments of a step that installs."""

_INSTALL_S = 1200.0
_ASK_S = 120.0


class CannotInstall(Exception):
    """A peer's packages could not be installed, or what was installed does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """`TOKENFORGE_BENCH_HOME`, or `~/.cache/tokenforge-benchmarks`."""

    root: Path

    def python(self, name: str) -> Path:
        """The Python of a peer's environment."""
        return self.root / "envs" / name / "bin" / "python"

    def script(self, name: str, script: str) -> Path:
        """A program in a peer's environment."""
        return self.root / "envs" / name / "bin" / script

    def tokenizer(self) -> Path:
        """A small model folder with a real tokenizer, made once."""
        folder = self.root / "tokenizer"
        if not (folder / "tokenizer.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            self.root.mkdir(parents=True, exist_ok=True)
            make_synthetic("tiny", folder)
        return folder

    def environment(
        self, name: str, steps: Sequence[Sequence[str]], *, checks: str, python: str = sys.executable
    ) -> str:
        """Make the environment unless it is there (`steps`: arguments of its own Python); returns what `checks` prints.

        A marker remembers the steps, so a changed list makes the environment anew. Raises CannotInstall.
        """
        folder = self.root / "envs" / name
        marker = folder / "made.json"
        wanted = json.dumps([[*step] for step in steps])
        if not marker.exists() or marker.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            _quiet([python, "-m", "venv", str(folder)], limit_s=_ASK_S)
            for step in steps:
                _quiet([str(self.python(name)), *step], limit_s=_INSTALL_S)
            _quiet([str(self.python(name)), "-c", checks], limit_s=_ASK_S)
            marker.write_text(wanted)
        return _quiet([str(self.python(name)), "-c", checks], limit_s=_ASK_S).strip().splitlines()[-1]


def _quiet(command: Sequence[str], *, limit_s: float, env: Mapping[str, str] | None = None) -> str:
    """What the command printed. Raises CannotInstall with its last words."""
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=limit_s, env={**os.environ, **(env or {})}
        )
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "is ignored" not in line and line.strip()]
        raise CannotInstall(lines[-1] if lines else f"{command[0]} failed") from error
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"{' '.join(command[1:4])} took more than {limit_s:.0f} s") from error
    return done.stdout
