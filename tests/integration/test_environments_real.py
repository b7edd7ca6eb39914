"""Environments made from the real package index with the process's own settings, and by two processes at once."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tokenforge
from tokenforge.domain.errors import EnvironmentFailed
from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.environments import Environment, ensure_environment, list_environments
from tokenforge.settings import read_settings

SIX = Recipe(version="1.17.0", requirements=("six==1.17.0",))


def ensure_in(home: Path, recipe: Recipe, on_progress: Callable[[str], None] = lambda _: None) -> Environment:
    settings = read_settings()
    return ensure_environment(
        recipe, runtime="toy", home=home, find_links=settings.find_links, extra_indexes=settings.extra_indexes,
        accelerator=Accelerator.CPU, base_env=settings.child_env, on_progress=on_progress,
    )  # fmt: skip


MAKE_IT = """
import sys
from pathlib import Path
from test_environments_real import SIX, ensure_in
print(ensure_in(Path(sys.argv[1]), SIX, on_progress=lambda line: print(line, flush=True)).folder)
"""


def start_making(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", MAKE_IT, str(home)]
    return subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)


def test_an_engine_from_the_index_is_made_once_and_found_again_in_silence(tmp_path: Path) -> None:
    said: list[str] = []
    made = ensure_in(tmp_path, SIX, said.append)
    assert made.packages == {"six": "1.17.0"}
    assert said
    said.clear()
    assert ensure_in(tmp_path, SIX, said.append) == made
    assert said == []


def test_its_python_imports_the_engine_our_very_code_and_sees_our_entry_points(tmp_path: Path) -> None:
    code = """
import json, six, tokenforge
from importlib.metadata import entry_points
from pathlib import Path
names = sorted({point.name for point in entry_points(group="tokenforge.runtimes")})
print(json.dumps([six.__version__, str(Path(tokenforge.__file__).resolve()), names]))
"""
    python = ensure_in(tmp_path, SIX).python
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env={})
    six_version, our_file, names = json.loads(done.stdout)
    assert (six_version, our_file) == ("1.17.0", str(Path(tokenforge.__file__).resolve()))
    assert {"openai", "sim", "transformers", "vllm"} <= set(names)


@pytest.mark.parametrize(
    ("requirement", "named"),
    [("tokenforge-no-such-xyz==1", "tokenforge-no-such-xyz"), ("six==99.1", "six==99.1")],
)
def test_what_the_index_does_not_have_is_named_and_nothing_is_left(
    tmp_path: Path, requirement: str, named: str
) -> None:
    with pytest.raises(EnvironmentFailed, match=f"{named} cannot be had"):
        ensure_in(tmp_path, Recipe(version="1", requirements=(requirement,)))
    assert list_environments(tmp_path) == ()
    assert not [path for path in (tmp_path / "environments").iterdir() if path.is_dir()]


def test_two_processes_that_want_the_same_environment_build_it_once(tmp_path: Path) -> None:
    processes = [start_making(tmp_path), start_making(tmp_path)]
    said = [process.communicate(timeout=90)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said[0][-1] == said[1][-1]
    assert sum(line.startswith("making the environment") for lines in said for line in lines) == 1


def test_a_builder_that_is_killed_leaves_nothing_that_looks_whole_and_the_next_makes_it(tmp_path: Path) -> None:
    first = start_making(tmp_path)
    assert first.stdout is not None
    with first.stdout:
        assert first.stdout.readline().startswith("making the environment")
        first.kill()
        first.wait()
    said: list[str] = []
    environment = ensure_in(tmp_path, SIX, said.append)
    assert said[0].startswith("making the environment")
    assert list_environments(tmp_path) == (environment,)
