"""Leases in SQL: one row a name; who holds it, in which epoch, until when by the database's clock."""

import sqlite3

from tokenforge.domain.errors import LeaseLost
from tokenforge.store.base import Lease
from tokenforge.store.sql.database import NOW_S, Database

_HELD = f"name = ? AND owner = ? AND epoch = ? AND expires_at_s > {NOW_S}"


class SqlLeases:
    """The port Leases on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, *, owner: str, ttl_s: float) -> Lease | None:
        """Take or prolong it; None while another holds it."""

        def work(db: sqlite3.Connection) -> Lease | None:
            row = db.execute(
                f"""
                INSERT INTO lease VALUES (:name, :owner, 1, {NOW_S} + :ttl)
                ON CONFLICT (name) DO UPDATE SET
                    epoch = CASE WHEN owner = :owner AND expires_at_s > {NOW_S} THEN epoch ELSE epoch + 1 END,
                    owner = :owner, expires_at_s = {NOW_S} + :ttl
                WHERE owner = :owner OR expires_at_s <= {NOW_S}
                RETURNING epoch, expires_at_s
                """,
                {"name": name, "owner": owner, "ttl": ttl_s},
            ).fetchone()
            return None if row is None else Lease(name=name, owner=owner, epoch=row[0], expires_at_s=row[1])

        return await self._database.write(work)

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        values = (lease.name, lease.owner, lease.epoch)
        await self._database.write(lambda db: db.execute(f"UPDATE lease SET expires_at_s = 0 WHERE {_HELD}", values))


def require(db: sqlite3.Connection, lease: Lease) -> None:
    """Raise LeaseLost unless it is held now. Part of the transaction that it protects."""
    held = db.execute(f"SELECT 1 FROM lease WHERE {_HELD}", (lease.name, lease.owner, lease.epoch)).fetchone()
    if held is None:
        raise LeaseLost(
            f"lease {lease.name!r} of epoch {lease.epoch} is not held any more", hint="Another process acts"
        )
