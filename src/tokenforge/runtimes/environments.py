"""Environments: one isolated, cached place for each runtime version, so versions live side by side on one machine.

Made with uv in `home/environments/`. A marker written last says that an environment is whole; a build that was cut is
thrown away and made again; two processes that want the same one build it once. The worker that runs there uses the very
code of this process, linked in (`docs/decisions/0001`). Refuses to touch an environment it did not make.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from tokenforge.domain.canonical import sha256_hex
from tokenforge.domain.errors import EnvironmentFailed, Fault, InvalidInput
from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.linking import link_our_code
from tokenforge.runtimes.locking import held_lock
from tokenforge.runtimes.uv import UvFailed, run_uv

_MARKER = "tokenforge-environment.json"
_BUILD_LIMIT_S = 3600.0
_FREE_NEEDED_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A whole environment: its Python, the process environment its workers need, and what is installed in it."""

    runtime: str
    version: str
    folder: Path
    python: Path
    process_env: Mapping[str, str]
    packages: Mapping[str, str]


def ensure_environment(
    recipe: Recipe,
    *,
    runtime: str,
    home: Path,
    find_links: Sequence[str],
    extra_indexes: Sequence[str],
    accelerator: Accelerator,
    base_env: Mapping[str, str],
    on_progress: Callable[[str], None],
) -> Environment:
    """Find the environment of `recipe`, or make it (minutes, with progress lines).

    A recipe without requirements needs no environment: this very Python is it. Raises EnvironmentFailed with the
    package that cannot be had, or the full disk, and what to do.
    """
    if not recipe.requirements:
        return _this_python(recipe, runtime)
    folder = environment_folder(recipe, runtime=runtime, home=home, accelerator=accelerator)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with held_lock(_lock_of(folder), limit_s=_BUILD_LIMIT_S, on_wait=on_progress):
            environment = _read(folder)
            if environment is None:
                builder = _Builder(
                    runtime=runtime, recipe=recipe, folder=folder, find_links=tuple(find_links),
                    extra_indexes=tuple(extra_indexes), accelerator=accelerator, base_env=base_env, tell=on_progress,
                )  # fmt: skip
                environment = builder.build()
            link_our_code(_site_packages(folder), runtime=runtime)
    except OSError as error:
        raise EnvironmentFailed(f"The environment of {runtime} in {folder} failed: {error}", hint=_DISK_HINT) from error
    return environment


def environment_folder(recipe: Recipe, *, runtime: str, home: Path, accelerator: Accelerator) -> Path:
    """Where the environment of `recipe` lies, whether it is there or not."""
    return home / "environments" / f"{runtime}-{recipe.version}-{accelerator}-{_key(recipe)}"


def finish_environment(
    folder: Path, recipe: Recipe, *, runtime: str, package_folders: Sequence[str] | None = None
) -> Environment:
    """Write the marker that says `folder` is whole. `package_folders` are where its packages lie, if not in itself."""
    where = [str(_site_packages(folder))] if package_folders is None else list(package_folders)
    facts: dict[str, Any] = {
        "runtime": runtime,
        "version": recipe.version,
        "process_env": dict(recipe.process_env),
        "packages": _versions(distributions(path=where)),
    }
    partial = folder / f".{_MARKER}"
    partial.write_text(json.dumps(facts, indent=1, sort_keys=True))
    partial.replace(folder / _MARKER)
    return _environment(folder, facts)


def list_environments(home: Path) -> tuple[Environment, ...]:
    """Every whole environment, by runtime and version."""
    folders = sorted((home / "environments").glob(f"*/{_MARKER}"))
    found = (_read(marker.parent) for marker in folders)
    return tuple(environment for environment in found if environment is not None)


def remove_environment(environment: Environment) -> None:
    """Delete it; its marker goes first, so a cut removal leaves nothing that looks whole.

    Raises InvalidInput for a folder that was not made here, such as the Python that runs this.
    """
    marker = environment.folder / _MARKER
    if not marker.is_file():
        fault = Fault(field="runtime", value=str(environment.folder), message="is no environment made by TokenForge")
        raise InvalidInput([fault])
    with held_lock(_lock_of(environment.folder), limit_s=_BUILD_LIMIT_S, on_wait=lambda _: None):
        marker.unlink(missing_ok=True)
        shutil.rmtree(environment.folder, ignore_errors=True)


_DISK_HINT = "Check the disk's free space and rights, or set TOKENFORGE_HOME to another folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    runtime: str
    recipe: Recipe
    folder: Path
    find_links: tuple[str, ...]
    extra_indexes: tuple[str, ...]
    accelerator: Accelerator
    base_env: Mapping[str, str]
    tell: Callable[[str], None]

    def build(self) -> Environment:
        """Make the venv, install, read what came, write the marker."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._check_disk()
        self.tell(f"making the environment ({', '.join(self.recipe.requirements[:2])}, ...)")
        self._uv("venv", "--quiet", "--python", sys.executable, str(self.folder))
        overrides = self.folder / "overrides.txt"
        overrides.write_text("".join(f"{line}\n" for line in self.recipe.overrides))
        self._uv(*self._install_arguments(overrides))
        return finish_environment(self.folder, self.recipe, runtime=self.runtime)

    def _install_arguments(self, overrides: Path) -> list[str]:
        arguments = ["pip", "install", "--python", str(self.folder / "bin" / "python")]
        for place in self.find_links:
            arguments += ["--find-links", place]
        for index in self.extra_indexes:
            arguments += ["--extra-index-url", index]
        if self.recipe.overrides:
            arguments += ["--override", str(overrides)]
        return [*arguments, *self._torch_backend(), *self.recipe.requirements]

    def _torch_backend(self) -> list[str]:
        """Which build of torch: a CPU wheel lying in `find_links` is taken as it is, else the backend's own index."""
        if self.accelerator is Accelerator.CUDA:
            return ["--torch-backend", "auto"]
        local = any(any(Path(place).glob("torch-*+cpu*.whl")) for place in self.find_links if "://" not in place)
        return [] if local else ["--torch-backend", "cpu"]

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.folder.parent).free
        if free < _FREE_NEEDED_BYTES:
            have = f"{free / 2**30:.1f} GiB free in {self.folder.parent}, an engine needs about 4 GiB"
            raise EnvironmentFailed(f"No room for {self.runtime}@{self.recipe.version}: {have}", hint=_DISK_HINT)

    def _uv(self, *arguments: str) -> None:
        try:
            run_uv(arguments, env=self.base_env, tell=self.tell, limit_s=_BUILD_LIMIT_S)
        except UvFailed as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            what = f"{self.runtime}@{self.recipe.version} could not be installed: {error.reason}"
            raise EnvironmentFailed(what, hint=error.advice, last_words=error.last_words) from error


def _key(recipe: Recipe) -> str:
    return sha256_hex([asdict(recipe), list(sys.version_info[:2]), sys.platform])[:10]


def _this_python(recipe: Recipe, runtime: str) -> Environment:
    return Environment(
        runtime=runtime,
        version=recipe.version,
        folder=Path(sys.prefix),
        python=Path(sys.executable),
        process_env=recipe.process_env,
        packages=_versions(distributions()),
    )


def _read(folder: Path) -> Environment | None:
    """The whole environment there; None when it is unfinished, or its Python went away with the one it was made of."""
    try:
        environment = _environment(folder, json.loads((folder / _MARKER).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return environment if environment.python.exists() else None


def _environment(folder: Path, facts: Mapping[str, Any]) -> Environment:
    return Environment(
        runtime=facts["runtime"],
        version=facts["version"],
        folder=folder,
        python=folder / "bin" / "python",
        process_env=facts["process_env"],
        packages=facts["packages"],
    )


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _site_packages(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _versions(found: Iterable[Distribution]) -> dict[str, str]:
    return dict(sorted((d.metadata["Name"].lower(), d.version) for d in found if d.metadata["Name"]))
