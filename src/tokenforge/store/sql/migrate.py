"""Bringing a database to the newest schema with Alembic; imported only where one is behind.

Of two processes that come at once, one migrates and the other waits for it, then finds it done: SQLite by its write
lock, PostgreSQL by an advisory lock. A migration is one transaction: all of it, or nothing.
"""

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tokenforge.domain.errors import StoreFailed
from tokenforge.store.sql.database_url import sqlalchemy_url
from tokenforge.store.sql.postgres import failure, version_of
from tokenforge.store.sql.schema import must_migrate
from tokenforge.store.sql.sqlite import is_current, open_file

_FOLDER = Path(__file__).with_name("migrations")
_MIGRATORS = 0x746F6B656E6D
_LIMIT_S = 120
_FIRST = "0001"


def migrate_sqlite(path: Path, *, to: str = "head") -> None:
    """Migrate the file. One that older code made, before migrations had numbers, counts as the first."""
    engine = sa.create_engine("sqlite://", creator=lambda: open_file(path), poolclass=sa.pool.NullPool)
    try:
        with engine.connect() as connection:
            raw = cast("sqlite3.Connection", connection.connection.dbapi_connection)
            raw.execute("BEGIN IMMEDIATE")
            if to != "head" or not is_current(raw):
                _upgrade(connection, to=to, is_first_there=_is_from_before(raw))
            connection.commit()
    except sa.exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreFailed(f"the database {path} could not be migrated: {cause}") from error
    finally:
        engine.dispose()


def migrate_postgres(url: str, *, to: str = "head") -> None:
    """Migrate the database at `url`; waits for another that does."""
    options = {"connect_timeout": 5, "options": f"-c lock_timeout={_LIMIT_S * 1000}"}
    engine = sa.create_engine(
        sqlalchemy_url(url), poolclass=sa.pool.NullPool, hide_parameters=True, connect_args=options
    )
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATORS})
            if to != "head" or must_migrate(version_of(connection), where="the database"):
                _upgrade(connection, to=to, is_first_there=False)
    except sa.exc.SQLAlchemyError as error:
        raise failure(error, url) from error
    finally:
        engine.dispose()


def _upgrade(connection: sa.Connection, *, to: str, is_first_there: bool) -> None:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    if is_first_there:
        command.stamp(config, _FIRST)
    command.upgrade(config, to)


def _is_from_before(raw: sqlite3.Connection) -> bool:
    names = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "deployment" in names and "alembic_version" not in names


def head_script() -> str:
    """What the migrations make of an empty SQLite file, as SQL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.db"
        migrate_sqlite(path)
        with closing(sqlite3.connect(path)) as raw:
            made = raw.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
            )
            statements = [f"{row[0]};" for row in made]
            version = raw.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    statements += [f"INSERT INTO alembic_version VALUES ('{version}');", "INSERT INTO change VALUES (0);"]
    lines = "\n".join([*statements, "PRAGMA user_version = 1;"]).splitlines()
    return "".join(f"{line.expandtabs(2).rstrip()}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(head_script())
