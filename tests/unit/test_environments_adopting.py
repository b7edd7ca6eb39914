"""Environments made of the packages that this Python has."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.adopting import adopt_this_python
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.environments import Environment, ensure_environment, list_environments

ENGINE = "numpy"
"""Stands for an engine: a package that every Python here has."""


def recipe(wanted: str | None = None) -> Recipe:
    """What asks for numpy."""
    return Recipe(version=wanted or version(ENGINE), requirements=(ENGINE,), process_env={"A": "1"})


def adopt(home: Path) -> Environment:
    """The environment in `home`."""
    return adopt_this_python(recipe(), runtime=ENGINE, home=home, accelerator=Accelerator.CPU)


def test_an_adopted_environment_sees_the_packages_of_this_python(tmp_path: Path) -> None:
    made = adopt(tmp_path)
    program = "import numpy; print(numpy.__version__)"
    ran = subprocess.run([made.python, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == version(ENGINE) == made.packages[ENGINE]


def test_it_is_found_in_place_of_one_that_would_be_installed(tmp_path: Path) -> None:
    made = adopt(tmp_path)
    assert list_environments(tmp_path) == (made,)
    found = ensure_environment(
        recipe(), runtime=ENGINE, home=tmp_path, find_links=(), extra_indexes=(), accelerator=Accelerator.CPU,
        base_env={}, on_progress=pytest.fail,
    )  # fmt: skip
    assert found == made


def test_another_version_than_this_python_has_is_refused_with_the_one_it_has(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"numpy@0\.1") as told:
        adopt_this_python(recipe("0.1"), runtime=ENGINE, home=tmp_path, accelerator=Accelerator.CPU)
    assert f"numpy@{version(ENGINE)}" in str(told.value.faults[0].hint)


def test_an_engine_that_this_python_lacks_is_refused(tmp_path: Path) -> None:
    absent = Recipe(version="1.0", requirements=("x",))
    with pytest.raises(InvalidInput, match="no-such-engine"):
        adopt_this_python(absent, runtime="no-such-engine", home=tmp_path, accelerator=Accelerator.CPU)
