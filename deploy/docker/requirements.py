"""Write what an image of a runtime installs beside TokenForge: `requirements.py RUNTIME ACCELERATOR FOLDER`.

The runtime's own recipe says it, the one that `tokenforge runtimes install` follows, so an image has the same engine.
Empty files are written for `core`.
"""

import sys
from pathlib import Path

from tokenforge.domain.runtime import Accelerator, parse_runtime
from tokenforge.runtimes.registry import find_plug


def main(runtime: str, accelerator: str, folder: Path) -> None:
    """Write `requirements.txt` and `overrides.txt`."""
    requirements: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    if runtime != "core":
        ref = parse_runtime(runtime)
        recipe = find_plug(ref.name).recipe(ref.version, Accelerator(accelerator))
        requirements, overrides = recipe.requirements, recipe.overrides
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
    (folder / "overrides.txt").write_text("".join(f"{line}\n" for line in overrides))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
