"""Idempotency keys in SQL: which request already made what. Part of the transaction that makes it."""

from typing import Literal

from tokenforge.domain.errors import KeyReused
from tokenforge.store.base import IdempotencyKey
from tokenforge.store.sql.connection import Connection

KEPT_S = 24 * 3600


def made_by(
    db: Connection, key: IdempotencyKey | None, *, among: Literal["deployment", "queued_benchmark"]
) -> str | None:
    """The id that this key made in the table `among`; None for a new key or none. Raises KeyReused for another body.

    A key whose deployment is gone is forgotten: asked again, it is a new request.
    """
    if key is None:
        return None
    db.execute(f"DELETE FROM idempotency WHERE created_at_s < {db.now_s} - {KEPT_S}")
    row = db.execute("SELECT body_sha256, made FROM idempotency WHERE key = :key", {"key": key.key}).fetchone()
    if row is None:
        return None
    if row[0] != key.body_sha256:
        message = f"Idempotency-Key {key.key.split(' ', 2)[-1][:64]!r} was used with another body"
        raise KeyReused(message, hint="Send a new key for a new request")
    if db.execute(f"SELECT 1 FROM {among} WHERE id = :id", {"id": row[1]}).fetchone() is None:
        db.execute("DELETE FROM idempotency WHERE key = :key", {"key": key.key})
        return None
    return str(row[1])


def remember(db: Connection, key: IdempotencyKey | None, *, made: str) -> None:
    """Keep what the key made."""
    if key is not None:
        values = {"key": key.key, "body": key.body_sha256, "made": made}
        db.execute(f"INSERT INTO idempotency VALUES (:key, :body, :made, {db.now_s})", values)
