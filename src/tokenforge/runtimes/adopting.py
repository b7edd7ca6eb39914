"""Take an engine that this very Python has as a runtime's environment: for machines that can install nothing.

The environment is a folder like any other, whose Python also sees the packages of the one that adopts; so nothing is
copied, nothing is fetched, and what is changed there later changes here. What the engine needs besides must be there.
"""

import importlib.metadata
import shutil
import site
import sys
import venv
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.environments import Environment, environment_folder, finish_environment


def adopt_this_python(recipe: Recipe, *, runtime: str, home: Path, accelerator: Accelerator) -> Environment:
    """The environment of `recipe`, made of this Python's packages in a second; one that is there is replaced.

    Raises InvalidInput when this Python has not the engine's version that the recipe names.
    """
    _check_version(runtime, recipe.version)
    folder = environment_folder(recipe, runtime=runtime, home=home, accelerator=accelerator)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False)
    inside = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (inside / "_adopted.pth").write_text("".join(f"{place}\n" for place in _package_folders()), encoding="utf-8")
    return finish_environment(folder, recipe, runtime=runtime, package_folders=[str(p) for p in _package_folders()])


def _check_version(runtime: str, wanted: str) -> None:
    try:
        found = importlib.metadata.version(runtime)
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != wanted:
        hint = f"ask for {runtime}@{found}" if found != "none" else f"install {runtime} into {sys.executable} first"
        message = f"is not what this Python has ({runtime} {found})"
        raise InvalidInput([Fault(field="runtime", value=f"{runtime}@{wanted}", message=message, hint=hint)])


def _package_folders() -> list[Path]:
    """Where this Python looks for packages, but for the standard library's own folders."""
    own = {Path(place).resolve() for place in site.getsitepackages()}
    return [path for path in map(Path, sys.path) if path.is_dir() and (path.resolve() in own or _has_packages(path))]


def _has_packages(path: Path) -> bool:
    return next(path.glob("*.dist-info"), None) is not None
