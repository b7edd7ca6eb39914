"""Bringing a SQLite file's schema to the newest version; its own `user_version` says how far it is."""

import sqlite3
from collections.abc import Sequence


def migrate(db: sqlite3.Connection, scripts: Sequence[str]) -> None:
    """Run the scripts that the file has not seen; of two processes at once one waits, then finds it done.

    A script's statements end in semicolons, and hold none elsewhere.
    """
    if db.execute("PRAGMA user_version").fetchone()[0] >= len(scripts):
        return
    db.execute("BEGIN IMMEDIATE")
    done = db.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(scripts[done:], start=done + 1):
        for statement in filter(str.strip, script.split(";")):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")
    db.execute("COMMIT")
