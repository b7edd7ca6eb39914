"""Events in SQL."""

from tokenforge.store.base import Event
from tokenforge.store.sql.connection import Connection
from tokenforge.store.sql.database import Database

KEPT_PER_SUBJECT = 2_000


class SqlEvents:
    """The port Events on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, subject: str, *, reason: str, message: str) -> None:
        """Add one and let the oldest go."""

        def work(db: Connection) -> None:
            row = f"(:subject, {db.now_text}, :reason, :message)"
            insert = f"INSERT INTO event (subject, at, reason, message) VALUES {row} RETURNING seq"
            (seq,) = db.execute(insert, {"subject": subject, "reason": reason, "message": message}).fetchone()
            if seq % 64 == 0:
                db.execute(
                    "DELETE FROM event WHERE subject = :subject AND seq NOT IN"
                    " (SELECT seq FROM event WHERE subject = :subject ORDER BY seq DESC LIMIT :kept)",
                    {"subject": subject, "kept": KEPT_PER_SUBJECT},
                )

        await self._database.write(work)

    async def after(self, subject: str, *, seq: int, limit: int) -> tuple[Event, ...]:
        """Those after `seq`, oldest first."""
        query = (
            "SELECT seq, subject, at, reason, message FROM event"
            " WHERE subject = :subject AND seq > :seq ORDER BY seq LIMIT :most"
        )

        def work(db: Connection) -> tuple[Event, ...]:
            rows = db.execute(query, {"subject": subject, "seq": seq, "most": limit})
            return tuple(Event(seq=row[0], subject=row[1], at=row[2], reason=row[3], message=row[4]) for row in rows)

        return await self._database.read(work)
