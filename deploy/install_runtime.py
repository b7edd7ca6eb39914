"""Install a runtime's engine beside TokenForge, in an image: `install_runtime.py RUNTIME ACCELERATOR`.

The runtime's own recipe says what, the one that `tokenforge runtimes install` follows, so an image has the same engine.
FIND_LINKS in the environment names a folder or page of wheels to take first.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenforge.domain.runtime import Accelerator, parse_runtime
from tokenforge.runtimes.registry import find_plug

UV = "/opt/builder/bin/uv"


def main(runtime: str, accelerator: Accelerator, find_links: str) -> int:
    """Call uv with what the recipe needs; its status."""
    ref = parse_runtime(runtime)
    recipe = find_plug(ref.name).recipe(ref.version, accelerator)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.write("".join(f"{line}\n" for line in recipe.overrides))
        overrides.flush()
        links = ["--find-links", find_links] if find_links else []
        command = [UV, "pip", "install", "--overrides", overrides.name, *links, *backend(accelerator, find_links)]
        return subprocess.run([*command, *recipe.requirements], check=False).returncode


def backend(accelerator: Accelerator, find_links: str) -> list[str]:
    """Which build of torch: a CPU wheel among `find_links` is taken as it is; the index's own is the one for CUDA."""
    if accelerator is Accelerator.CUDA or any(Path(find_links or "/nowhere").glob("torch-*+cpu*.whl")):
        return []
    return ["--torch-backend", "cpu"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Accelerator(sys.argv[2]), os.environ.get("FIND_LINKS", "")))
