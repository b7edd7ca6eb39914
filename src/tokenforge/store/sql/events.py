"""Events in SQL."""

import sqlite3

from tokenforge.store.base import Event
from tokenforge.store.sql.database import NOW_TEXT, Database

KEPT_PER_SUBJECT = 2_000


class SqlEvents:
    """The port Events on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, subject: str, *, reason: str, message: str) -> None:
        """Add one and let the oldest go."""

        def work(db: sqlite3.Connection) -> None:
            values = (subject, reason, message)
            done = db.execute(f"INSERT INTO event (subject, at, reason, message) VALUES (?, {NOW_TEXT}, ?, ?)", values)
            if (done.lastrowid or 0) % 64 == 0:
                db.execute(
                    "DELETE FROM event WHERE subject = ? AND seq NOT IN"
                    " (SELECT seq FROM event WHERE subject = ? ORDER BY seq DESC LIMIT ?)",
                    (subject, subject, KEPT_PER_SUBJECT),
                )

        await self._database.write(work)

    async def after(self, subject: str, *, seq: int, limit: int) -> tuple[Event, ...]:
        """Those after `seq`, oldest first."""
        query = "SELECT seq, subject, at, reason, message FROM event WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?"

        def work(db: sqlite3.Connection) -> tuple[Event, ...]:
            rows = db.execute(query, (subject, seq, limit))
            return tuple(Event(seq=row[0], subject=row[1], at=row[2], reason=row[3], message=row[4]) for row in rows)

        return await self._database.read(work)
