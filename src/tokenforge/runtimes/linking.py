"""Put the code of this process into an engine's environment, by links: our package, our metadata, a plug-in's likewise.

A link cannot be another version than what started the worker. Only the packages asked for are linked, so an
environment's own pins stay what its engine wants.
"""

from importlib.metadata import Distribution, entry_points
from pathlib import Path

import tokenforge
from tokenforge.runtimes.registry import GROUP


def link_our_code(site_packages: Path, *, runtime: str) -> None:
    """Link tokenforge, and the distribution that provides `runtime` when it is another, into `site_packages`."""
    _link(site_packages, Path(tokenforge.__file__).parent)
    for distribution in _providers(runtime):
        _link(site_packages, _metadata_folder(distribution))
        for package in _top_packages(distribution):
            if package.name != "tokenforge":
                _link(site_packages, package)


def _providers(runtime: str) -> list[Distribution]:
    """Our distribution first, then the runtime's own."""
    ours = [Distribution.from_name("tokenforge")]
    points = entry_points(group=GROUP, name=runtime)
    theirs = [p.dist for p in points if p.dist is not None and p.dist.metadata["Name"] != "tokenforge"]
    return ours + theirs


def _metadata_folder(distribution: Distribution) -> Path:
    return Path(str(distribution.locate_file(""))) / f"{_stem(distribution)}.dist-info"


def _stem(distribution: Distribution) -> str:
    return f"{distribution.metadata['Name'].replace('-', '_')}-{distribution.version}"


def _top_packages(distribution: Distribution) -> list[Path]:
    """The folders or modules that its entry points import from, wherever they lie (an editable install too)."""
    import importlib.util

    names = {point.value.partition(":")[0].partition(".")[0] for point in distribution.entry_points}
    specs = [importlib.util.find_spec(name) for name in sorted(names)]
    found = []
    for spec in specs:
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            found.append(origin.parent if origin.name == "__init__.py" else origin)
    return found


def _link(site_packages: Path, source: Path) -> None:
    link = site_packages / source.name
    if link.is_symlink() and link.readlink() == source:
        return
    if link.exists() and not link.is_symlink():
        return
    partial = link.with_name(f".{link.name}.link")
    partial.unlink(missing_ok=True)
    partial.symlink_to(source)
    partial.replace(link)
