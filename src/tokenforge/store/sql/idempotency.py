"""Idempotency keys in SQL: which request already made what. Part of the transaction that makes it."""

import sqlite3
from typing import Literal

from tokenforge.domain.errors import KeyReused
from tokenforge.store.base import IdempotencyKey
from tokenforge.store.sql.database import NOW_S

KEPT_S = 24 * 3600


def made_by(
    db: sqlite3.Connection, key: IdempotencyKey | None, *, among: Literal["deployment", "queued_benchmark"]
) -> str | None:
    """The id that this key made in the table `among`; None for a new key or none. Raises KeyReused for another body.

    A key whose deployment is gone is forgotten: asked again, it is a new request.
    """
    if key is None:
        return None
    db.execute(f"DELETE FROM idempotency WHERE created_at_s < {NOW_S} - {KEPT_S}")
    row = db.execute("SELECT body_sha256, made FROM idempotency WHERE key = ?", (key.key,)).fetchone()
    if row is None:
        return None
    if row[0] != key.body_sha256:
        message = f"Idempotency-Key {key.key.split(' ', 2)[-1][:64]!r} was used with another body"
        raise KeyReused(message, hint="Send a new key for a new request")
    if db.execute(f"SELECT 1 FROM {among} WHERE id = ?", (row[1],)).fetchone() is None:
        db.execute("DELETE FROM idempotency WHERE key = ?", (key.key,))
        return None
    return str(row[1])


def remember(db: sqlite3.Connection, key: IdempotencyKey | None, *, made: str) -> None:
    """Keep what the key made."""
    if key is not None:
        db.execute(f"INSERT INTO idempotency VALUES (?, ?, ?, {NOW_S})", (key.key, key.body_sha256, made))
