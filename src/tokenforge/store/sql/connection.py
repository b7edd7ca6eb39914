"""What a unit of work gets to write SQL with: the same few words over SQLite and PostgreSQL.

The SQL of this room is one text for both databases: named values (`:name`), `ON CONFLICT`, `RETURNING`, and no function
that only one of them has. Where they must differ, the connection carries the words: its clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

Values = Mapping[str, object]
NONE: Values = {}


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """The next row as a tuple; None without one."""
        ...

    def fetchall(self) -> Sequence[Any]:
        """The rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One connection, within one unit of work."""

    @property
    def now_s(self) -> str:
        """SQL for the database's clock as Unix seconds, to the millisecond or better."""
        ...

    @property
    def now_text(self) -> str:
        """SQL for the database's clock as RFC 3339 UTC."""
        ...

    def execute(self, sql: str, values: Values = NONE) -> Rows:
        """Run one statement."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Values]) -> None:
        """Run one statement for each of `rows`."""
        ...


def touch(db: Connection) -> None:
    """Say that something changed; part of the transaction that changed it."""
    db.execute("UPDATE change SET version = version + 1")
