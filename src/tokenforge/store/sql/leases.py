"""Leases in SQL: one row a name; who holds it, in which epoch, until when by the database's clock."""

from tokenforge.domain.errors import LeaseLost
from tokenforge.store.base import Lease
from tokenforge.store.sql.connection import Connection, Values
from tokenforge.store.sql.database import Database

_HELD = "name = :name AND owner = :owner AND epoch = :epoch AND expires_at_s > "


class SqlLeases:
    """The port Leases on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, *, owner: str, ttl_s: float) -> Lease | None:
        """Take or prolong it; None while another holds it."""

        def work(db: Connection) -> Lease | None:
            row = db.execute(
                f"""
                INSERT INTO lease VALUES (:name, :owner, 1, {db.now_s} + :ttl)
                ON CONFLICT (name) DO UPDATE SET
                    epoch = lease.epoch
                        + CASE WHEN lease.owner = :owner THEN 0 ELSE 1 END,
                    owner = :owner, expires_at_s = {db.now_s} + :ttl
                WHERE lease.owner = :owner OR lease.expires_at_s <= {db.now_s}
                RETURNING epoch, expires_at_s
                """,
                {"name": name, "owner": owner, "ttl": ttl_s},
            ).fetchone()
            return None if row is None else Lease(name=name, owner=owner, epoch=row[0], expires_at_s=row[1])

        return await self._database.write(work)

    async def release(self, lease: Lease) -> None:
        """Give it back."""

        def work(db: Connection) -> None:
            db.execute(f"UPDATE lease SET expires_at_s = 0 WHERE {_HELD}{db.now_s}", _values(lease))

        await self._database.write(work)


def require(db: Connection, lease: Lease) -> None:
    """Raise LeaseLost unless it is held now. Part of the transaction that it protects."""
    if db.execute(f"SELECT 1 FROM lease WHERE {_HELD}{db.now_s}", _values(lease)).fetchone() is None:
        raise LeaseLost(
            f"lease {lease.name!r} of epoch {lease.epoch} is not held any more", hint="Another process acts"
        )


def _values(lease: Lease) -> Values:
    return {"name": lease.name, "owner": lease.owner, "epoch": lease.epoch}
