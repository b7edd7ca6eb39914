"""Environments made by the real uv from wheels in a folder: isolated, cached, rebuilt when cut, shared by processes."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from local_wheels import OFFLINE, write_wheel

import tokenforge
from tokenforge.domain.errors import EnvironmentFailed, InvalidInput
from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.environments import Environment, ensure_environment, list_environments, remove_environment

MARKER = "tokenforge-environment.json"
Ensure = Callable[..., Environment]


def recipe(version: str = "1.0", *, overrides: tuple[str, ...] = ()) -> Recipe:
    return Recipe(
        version=version, requirements=(f"toy_engine=={version}",), overrides=overrides, process_env={"TOY": "1"}
    )


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "1.1"):
        write_wheel(folder, "toy_engine", version, requires=("toy_part",))
    write_wheel(folder, "toy_part", "0.5")
    return folder


@pytest.fixture
def ensure(tmp_path: Path, wheels: Path) -> Ensure:
    def call(made_of: Recipe, **changes: Any) -> Environment:
        arguments: dict[str, Any] = {
            "runtime": "toy", "home": tmp_path / "home", "find_links": [str(wheels)], "extra_indexes": [],
            "accelerator": Accelerator.CPU, "base_env": OFFLINE, "on_progress": lambda _: None,
        }  # fmt: skip
        return ensure_environment(made_of, **{**arguments, **changes})

    return call


def python_says(environment: Environment, code: str) -> str:
    done = subprocess.run([environment.python, "-c", code], capture_output=True, text=True, check=True, env={})
    return done.stdout.strip()


def test_the_engine_is_in_the_environment_with_its_parts_and_versions(ensure: Ensure) -> None:
    environment = ensure(recipe())
    assert (environment.runtime, environment.version, environment.process_env) == ("toy", "1.0", {"TOY": "1"})
    assert environment.packages == {"toy_engine": "1.0", "toy_part": "0.5"}
    assert python_says(environment, "import toy_engine; print(toy_engine.VERSION)") == "1.0"


def test_a_worker_there_runs_the_very_code_of_this_process(ensure: Ensure) -> None:
    code = "import tokenforge, pathlib; print(pathlib.Path(tokenforge.__file__).resolve())"
    assert python_says(ensure(recipe()), code) == str(Path(tokenforge.__file__).resolve())


def test_a_worker_there_sees_the_entry_points_of_our_runtimes(ensure: Ensure) -> None:
    code = "from importlib.metadata import entry_points as e; print(*sorted({p.name for p in e(group='%s')}))"
    assert python_says(ensure(recipe()), code % "tokenforge.runtimes") == "openai sim transformers vllm"


def test_progress_is_told_while_it_is_made_and_not_again(ensure: Ensure) -> None:
    said: list[str] = []
    ensure(recipe(), on_progress=said.append)
    assert [line for line in said if line.startswith(("Resolved 2", "Installed 2"))]
    said.clear()
    ensure(recipe(), on_progress=said.append)
    assert said == []


def test_versions_live_side_by_side_and_are_listed(ensure: Ensure, tmp_path: Path) -> None:
    first, second = ensure(recipe("1.0")), ensure(recipe("1.1"))
    assert first.folder != second.folder
    assert list_environments(tmp_path / "home") == (first, second)


def test_another_recipe_of_the_same_version_is_another_environment(ensure: Ensure, wheels: Path) -> None:
    write_wheel(wheels, "toy_part", "0.6")
    plain, changed = ensure(recipe()), ensure(recipe(overrides=("toy_part ; sys_platform == 'never'",)))
    assert plain.folder != changed.folder
    assert changed.packages == {"toy_engine": "1.0"}


@pytest.mark.parametrize("left", [None, "{", "{}"])
def test_a_build_that_was_cut_is_thrown_away_and_made_again(ensure: Ensure, left: str | None) -> None:
    environment = ensure(recipe())
    marker, rest = environment.folder / MARKER, environment.folder / "half-written"
    rest.touch()
    marker.unlink() if left is None else marker.write_text(left)
    assert ensure(recipe()) == environment
    assert not rest.exists()


def test_an_environment_whose_python_went_away_is_made_again(ensure: Ensure) -> None:
    environment = ensure(recipe())
    environment.python.unlink()
    environment.python.symlink_to("/nowhere/python")
    assert python_says(ensure(recipe()), "print(1)") == "1"


def test_a_cpu_build_of_torch_that_lies_in_the_folder_is_taken(ensure: Ensure, wheels: Path) -> None:
    write_wheel(wheels, "torch", "2.0+cpu")
    environment = ensure(Recipe(version="1", requirements=("torch==2.0",)))
    assert environment.packages == {"torch": "2.0+cpu"}


def test_two_that_want_the_same_environment_build_it_once(ensure: Ensure) -> None:
    said: list[str] = []
    threads = [threading.Thread(target=ensure, args=(recipe(),), kwargs={"on_progress": said.append}) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len([line for line in said if line.startswith("Installed")]) == 1
    assert len([line for line in said if line.startswith("waiting for another")]) == 1


def test_a_version_that_is_not_to_be_had_is_named_with_what_to_do(ensure: Ensure, tmp_path: Path) -> None:
    with pytest.raises(
        EnvironmentFailed, match=r"toy@9\.9 could not be installed: toy[-_]engine==9\.9 cannot be had"
    ) as raised:
        ensure(recipe("9.9"))
    assert "PIP_FIND_LINKS" in raised.value.hint
    assert any("No solution found" in line for line in raised.value.last_words)
    assert list_environments(tmp_path / "home") == ()
    assert not [path for path in (tmp_path / "home" / "environments").iterdir() if path.is_dir()]


def test_a_package_that_is_nowhere_is_named(ensure: Ensure) -> None:
    nowhere = Recipe(version="1", requirements=("toy_engine", "toy_that_is_none"))
    with pytest.raises(EnvironmentFailed, match=r"toy[-_]that[-_]is[-_]none cannot be had"):
        ensure(nowhere)


def test_a_full_disk_is_told_before_anything_is_made(ensure: Ensure, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentFailed, match=r"No room for toy@1\.0: 1\.0 GiB free"):
        ensure(recipe())


def test_a_home_that_cannot_be_written_is_told_as_that(ensure: Ensure, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailed, match="TOKENFORGE_HOME"):
        ensure(recipe(), home=tmp_path / "file")


def test_a_recipe_without_requirements_is_this_very_python(ensure: Ensure, tmp_path: Path) -> None:
    environment = ensure(Recipe(version="2", process_env={"A": "b"}))
    assert (environment.python, environment.process_env) == (Path(sys.executable), {"A": "b"})
    assert environment.packages["tokenforge"] == tokenforge.__version__
    assert not (tmp_path / "home").exists()


def test_a_removed_environment_is_gone_and_can_be_made_again(ensure: Ensure, tmp_path: Path) -> None:
    environment = ensure(recipe())
    remove_environment(environment)
    assert list_environments(tmp_path / "home") == ()
    assert not environment.folder.exists()
    assert ensure(recipe()) == environment


def test_removing_takes_away_the_links_and_not_our_code(ensure: Ensure) -> None:
    remove_environment(ensure(recipe()))
    assert Path(tokenforge.__file__).is_file()


def test_the_python_that_runs_us_is_never_removed(ensure: Ensure) -> None:
    ours = ensure(Recipe(version="2"))
    with pytest.raises(InvalidInput, match="no environment made by TokenForge"):
        remove_environment(ours)
    assert ours.python.exists()
