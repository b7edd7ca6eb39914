"""Put the code of this process into an engine's environment, by links: our package, our metadata, a plug-in's likewise.

A link cannot be another version than what started the worker. Only the packages asked for are linked, so an
environment's own pins stay what its engine wants.
"""

import contextlib
import os
from importlib.metadata import Distribution, PackageNotFoundError, entry_points
from importlib.util import find_spec
from pathlib import Path

import tokenforge
from tokenforge.runtimes.registry import GROUP

_US = "tokenforge"


def link_our_code(site_packages: Path, *, runtime: str) -> None:
    """Link tokenforge, and the distribution that provides `runtime` when it is another, into `site_packages`."""
    _link(site_packages, Path(tokenforge.__file__).parent)
    for distribution in _providers(runtime):
        metadata = _metadata_folder(distribution)
        if metadata is not None:
            _unlink_others(site_packages, metadata)
            _link(site_packages, metadata)
        for package in _top_packages(distribution):
            _link(site_packages, package)


def _providers(runtime: str) -> list[Distribution]:
    """Our distribution first (none in a bare checkout), then the runtime's own."""
    found = []
    with contextlib.suppress(PackageNotFoundError):
        found.append(Distribution.from_name(_US))
    points = entry_points(group=GROUP, name=runtime)
    return found + [p.dist for p in points if p.dist is not None and p.dist.metadata["Name"] != _US]


def _metadata_folder(distribution: Distribution) -> Path | None:
    """The `.dist-info` folder, by its own list of files or by its name."""
    for file in distribution.files or ():
        if file.name == "METADATA" and file.parent.suffix == ".dist-info":
            return Path(str(distribution.locate_file(file))).parent
    stem = distribution.metadata["Name"].replace("-", "_")
    folder = Path(str(distribution.locate_file(f"{stem}-{distribution.version}.dist-info")))
    return folder if folder.is_dir() else None


def _unlink_others(site_packages: Path, metadata: Path) -> None:
    """Take away our links to other versions of the same distribution, so that one version is seen."""
    name = metadata.name.partition("-")[0]
    for link in site_packages.glob(f"{name}-*.dist-info"):
        if link.is_symlink() and link.name != metadata.name:
            link.unlink()


def _top_packages(distribution: Distribution) -> list[Path]:
    """The folders or modules that its entry points import from, wherever they lie (an editable install too)."""
    names = {point.value.partition(":")[0].partition(".")[0] for point in distribution.entry_points} - {_US}
    specs = [find_spec(name) for name in sorted(names)]
    places = [[*(spec.submodule_search_locations or ()), spec.origin] for spec in specs if spec is not None]
    return [Path(where[0]) for where in places if where[0] is not None]


def _link(site_packages: Path, source: Path) -> None:
    link = site_packages / source.name
    if link.is_symlink() and link.readlink() == source:
        return
    if link.exists() and not link.is_symlink():
        return
    partial = link.with_name(f".{link.name}.{os.getpid()}.link")
    partial.unlink(missing_ok=True)
    partial.symlink_to(source)
    partial.replace(link)
