"""Databases of a real PostgreSQL, one for each test that asks."""

import itertools
from dataclasses import dataclass, field

from servers.postgres import Postgres
from tokenforge.store.sql.migrate import migrate_postgres

_TEMPLATE = "migrated"


@dataclass(slots=True)
class Databases:
    """Of one server. `new` is a copy of a database that was migrated once, which is faster than to migrate each."""

    server: Postgres
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _has_template: bool = False

    def new(self) -> str:
        """The URL of a new database with the newest schema."""
        if not self._has_template:
            migrate_postgres(self.server.make_database(_TEMPLATE))
            self._has_template = True
        return self.server.make_database(f"d{next(self._numbers)}", like=_TEMPLATE)

    def empty(self) -> str:
        """The URL of a new database with nothing in it."""
        return self.server.make_database(f"d{next(self._numbers)}")
