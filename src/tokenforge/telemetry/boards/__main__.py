"""`python -m tokenforge.telemetry.boards ROOT`: write all that is made from the boards, remove what is no more."""

import sys
from pathlib import Path

from tokenforge.telemetry.boards.files import files


def main(root: Path) -> None:
    """Write the files under the repository's root."""
    made = files()
    for folder in {(root / name).parent for name in made}:
        for old in folder.glob("*"):
            if old.is_file() and old.relative_to(root).as_posix() not in made and old.suffix in {".json", ".md"}:
                old.unlink()
    for name, text in made.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
