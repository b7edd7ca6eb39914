"""How tests start the command."""

import subprocess
import sys
from typing import Protocol

COMMAND = [sys.executable, "-c", "from tokenforge.cli.main import run; run()"]


class Run(Protocol):
    """Run `tokenforge ARGUMENTS` to its end."""

    def __call__(self, *arguments: str, timeout_s: float = 100) -> "subprocess.CompletedProcess[str]":
        """What it printed and its exit code."""
        ...
