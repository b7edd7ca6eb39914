"""API keys in SQL; the secret itself is never written."""

import json

from tokenforge.domain.api_key import ApiKey
from tokenforge.domain.errors import AlreadyExists, NotFound
from tokenforge.store.sql.connection import Connection, touch
from tokenforge.store.sql.database import Database

_COLUMNS = "id, name, sha256, scopes, created_at, requests_per_minute, concurrency"
_VALUES = ", ".join(f":{name}" for name in _COLUMNS.split(", "))


class SqlKeys:
    """The port Keys on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKey) -> None:
        """Raises AlreadyExists for a taken name."""

        def work(db: Connection) -> None:
            if db.execute("SELECT 1 FROM api_key WHERE name = :name", {"name": key.name}).fetchone() is not None:
                raise AlreadyExists(f"a key named {key.name!r} is there already", hint="Choose another name")
            scopes = json.dumps(sorted(key.scopes))
            values = {
                "id": key.id, "name": key.name, "sha256": key.sha256, "scopes": scopes, "created_at": key.created_at,
                "requests_per_minute": key.requests_per_minute, "concurrency": key.concurrency,
            }  # fmt: skip
            db.execute(f"INSERT INTO api_key ({_COLUMNS}) VALUES ({_VALUES})", values)
            touch(db)

        await self._database.write(work)

    async def list(self) -> tuple[ApiKey, ...]:
        """All, oldest first."""
        query = f"SELECT {_COLUMNS} FROM api_key ORDER BY created_at, id"
        return await self._database.read(lambda db: tuple(_key(row) for row in db.execute(query)))

    async def revoke(self, name: str) -> None:
        """Raises NotFound."""

        def work(db: Connection) -> None:
            if db.execute("DELETE FROM api_key WHERE name = :name", {"name": name}).rowcount == 0:
                raise NotFound(f"there is no key named {name!r}", hint="List the keys first")
            touch(db)

        await self._database.write(work)


def _key(row: tuple[str, str, str, str, str, int, int]) -> ApiKey:
    return ApiKey(
        id=row[0], name=row[1], sha256=row[2], scopes=frozenset(json.loads(row[3])), created_at=row[4],
        requests_per_minute=row[5], concurrency=row[6],
    )  # fmt: skip
