"""The command as a user runs it: a process of its own, a home of its own, no hub."""

import os
import subprocess
from pathlib import Path

import pytest
from command import COMMAND, Run

from tokenforge.settings import read_settings


@pytest.fixture(scope="session")
def home() -> Path:
    """The user's own home of TokenForge: environments and models made once serve all tests."""
    return read_settings().home


@pytest.fixture
def command_env(home: Path) -> dict[str, str]:
    return {**os.environ, "TOKENFORGE_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}


@pytest.fixture
def tokenforge(tmp_path: Path, command_env: dict[str, str]) -> Run:
    """Run `tokenforge ARGUMENTS` in an empty folder; 100 s at most."""

    def run(*arguments: str, timeout_s: float = 100) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path, env=command_env, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    return run
