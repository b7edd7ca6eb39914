"""Wheels made here, so that environments are built by the real uv without any network."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

OFFLINE = {"UV_OFFLINE": "1", "PATH": "/usr/bin:/bin"}


def write_wheel(
    folder: Path, name: str, version: str, *, requires: tuple[str, ...] = (), files: Mapping[str, str] | None = None
) -> Path:
    """A pure wheel with one module, `NAME.py`, that holds its version, and `files` beside."""
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {need}" for need in requires]
    contents = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(files or {}),
    }
    contents[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in contents) + f"{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel
