"""A process that migrates a database; told to hold, it keeps its lock until a file is there.

python migrating.py PLACE FILE [holding]
"""

import sys
import time
from pathlib import Path

import sqlalchemy as sa

from tokenforge.store.sql import migrate
from tokenforge.store.sql.database_url import sqlalchemy_url

UPGRADE = migrate._upgrade
LIMIT_S = 60


def hold(connection: sa.Connection, *, to: str, is_first_there: bool) -> None:
    """Migrate, and wait before the transaction ends."""
    UPGRADE(connection, to=to, is_first_there=is_first_there)
    print("holding", flush=True)
    end_s = time.monotonic() + LIMIT_S
    while not Path(sys.argv[2]).exists() and time.monotonic() < end_s:
        time.sleep(0.02)


def main(place: str) -> None:
    """Migrate; tell the schema that is there then."""
    if "holding" in sys.argv:
        migrate._upgrade = hold
    else:
        print("begins", flush=True)
    is_postgres = place.startswith("postgres")
    if is_postgres:
        migrate.migrate_postgres(place)
    else:
        migrate.migrate_sqlite(Path(place))
    engine = sa.create_engine(sqlalchemy_url(place) if is_postgres else f"sqlite:///{place}")
    with engine.connect() as connection:
        print(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar())
    engine.dispose()


main(sys.argv[1])
