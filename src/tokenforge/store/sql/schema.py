"""Which schema this version of the code works with. The schema itself is in `migrations`, for both databases.

`head.sql` is what all migrations together make of an empty SQLite file, written by
`python -m tokenforge.store.sql.migrate`; a test compares the two.
"""

from tokenforge.domain.errors import StoreFailed

HEAD = "0003"
"""The newest migration."""


def must_migrate(version: str | None, *, where: str) -> bool:
    """Whether a database of this version (None: of none yet) is behind.

    One that is ahead by one migration still serves: processes of two versions share it while they are replaced. Raises
    StoreFailed for one that is further ahead.
    """
    if version is None:
        return True
    if int(version) > int(HEAD) + 1:
        message = f"{where} has schema {version}, this version works with {HEAD}"
        raise StoreFailed(message, hint="Install the version of TokenForge that was used with it last, or a newer one")
    return int(version) < int(HEAD)
