"""Running a server as an ordinary user also where we are root, because PostgreSQL refuses root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_ORDINARY = "nobody"


def is_root() -> bool:
    """Whether this process may do everything."""
    return os.geteuid() == 0


def ordinary() -> dict[str, Any]:
    """Arguments for `subprocess` that make the child an ordinary user; none when we are one."""
    if not is_root():
        return {}
    entry = pwd.getpwnam(_ORDINARY)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def make_folder(folder: Path) -> Path:
    """A folder that the ordinary user owns and can reach; its parents are left as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_root():
        entry = pwd.getpwnam(_ORDINARY)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    return folder


def reachable(program: Path, *, tree: Path) -> Path:
    """The program, or a copy of its tree that the ordinary user can read (a home of root's is closed to it)."""
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True, timeout=20, **ordinary())
    except (OSError, subprocess.SubprocessError):
        copy = Path(tempfile.gettempdir()) / f"tokenforge-{tree.name}-{tree.stat().st_mtime_ns}"
        if not copy.exists():
            partial = Path(tempfile.mkdtemp(prefix=f"{copy.name}-"))
            partial.chmod(0o755)
            for name in (tree.name, f"{tree.name}.libs"):
                shutil.copytree(tree.with_name(name), partial / name, symlinks=True)
            partial.rename(copy)
        return copy / tree.name / program.relative_to(tree)
    return program
