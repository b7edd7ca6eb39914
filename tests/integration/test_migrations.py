"""Schemas: every released one comes to the newest with its data, on both databases, whoever else comes at once."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from databases import Databases
from first_schema import FIRST_SCRIPT, fill_first
from old_statements import Said, plain, record, run, with_clock

from tokenforge.domain.deployment import DeploymentId
from tokenforge.domain.errors import StoreFailed
from tokenforge.store.sql import migrate
from tokenforge.store.sql.connection import Connection
from tokenforge.store.sql.database_url import sqlalchemy_url
from tokenforge.store.sql.schema import HEAD
from tokenforge.store.sql.store import open_store

FOLDER = Path(migrate.__file__).with_name("migrations")


def revisions() -> list[str]:
    """All migrations, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    found = ScriptDirectory.from_config(config).walk_revisions()
    return sorted(revision.revision for revision in found)


def engine_of(place: Path | str) -> sa.Engine:
    url = f"sqlite:///{place}" if isinstance(place, Path) else sqlalchemy_url(place)
    return sa.create_engine(url, poolclass=sa.pool.NullPool)


def migrated(place: Path | str, to: str) -> Path | str:
    if isinstance(place, Path):
        migrate.migrate_sqlite(place, to=to)
    else:
        migrate.migrate_postgres(place, to=to)
    return place


def tables(place: Path | str) -> dict[str, list[tuple[str, str, bool]]]:
    """Each table's columns in order: name, type, whether it may be null."""
    engine = engine_of(place)
    look = sa.inspect(engine)
    found = {
        name: [
            (str(column["name"]), str(column["type"]), bool(column["nullable"])) for column in look.get_columns(name)
        ]
        for name in look.get_table_names()
    }
    engine.dispose()
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return tmp_path / "store.db"
    databases: Databases = request.getfixturevalue("databases")
    return databases.empty()


async def look_around(place: Path | str) -> None:
    """What `fill_first` wrote is there, and new things can be written."""
    store = open_store(place)
    try:
        assert (await store.deployments.get(DeploymentId("d1"))).spec.name == "tiny"
        assert [key.name for key in await store.keys.list()] == ["ci"]
        assert (await store.benchmarks.get("b1")).runs[0].cause == "why"
        assert [event.message for event in await store.events.after("d1", seq=0, limit=9)] == ["hello"]
        await store.events.append("d1", reason="Tick", message="again")
        assert len(await store.events.after("d1", seq=1, limit=9)) == 1
        assert await store.observations.version() == 7
    finally:
        await store.close()


@pytest.mark.parametrize("revision", revisions())
async def test_every_released_schema_comes_to_the_newest_with_its_data(place: Path | str, revision: str) -> None:
    engine = engine_of(migrated(place, revision))
    with engine.begin() as connection:
        fill_first(connection.exec_driver_sql)
    engine.dispose()
    await look_around(place)


async def test_a_file_from_before_migrations_had_numbers_comes_to_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executescript(FIRST_SCRIPT)
        fill_first(raw.execute)
    await look_around(path)


@pytest.mark.parametrize("number", range(1, len(revisions())))
def test_what_the_version_before_works_with_is_left_as_it_was(place: Path | str, number: int) -> None:
    old, new = revisions()[number - 1 : number + 1]
    before = tables(migrated(place, old))
    after = tables(migrated(place, new))
    assert {name: after[name] for name in before} == before


def test_the_newest_migration_is_the_one_the_code_works_with() -> None:
    assert revisions()[-1] == HEAD


def test_a_new_file_gets_what_all_migrations_make() -> None:
    kept = files("tokenforge.store.sql").joinpath("head.sql").read_text()
    assert kept == migrate.head_script(), "write it again: make reference"


def test_the_file_from_before_has_the_tables_of_the_first_migration(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as raw, raw:
        raw.executescript(FIRST_SCRIPT)
    first = tables(migrated(tmp_path / "first.db", revisions()[0]))
    for name, columns in tables(tmp_path / "old.db").items():
        assert [column[0] for column in first[name]] == [column[0] for column in columns]


async def test_of_many_that_open_an_old_database_at_once_one_migrates_and_all_go_on(place: Path | str) -> None:
    engine = engine_of(migrated(place, revisions()[0]))
    with engine.begin() as connection:
        fill_first(connection.exec_driver_sql)
    engine.dispose()
    stores = [open_store(place) for _ in range(4)]
    try:
        assert await asyncio.gather(*(store.observations.version() for store in stores)) == [7] * 4
    finally:
        await asyncio.gather(*(store.close() for store in stores))


async def say_again(place: Path | str, units: list[Said]) -> None:
    """Run recorded units of work; each statement gives what it gave then."""
    store = open_store(place)

    def work(said: list[Said]) -> Callable[[Connection], None]:
        def once(db: Connection) -> None:
            for one in said:
                if "many" in one:
                    db.execute_many(with_clock(db, one["sql"]), one["many"])
                    continue
                _, rows = run(db, one["sql"], one["values"])
                assert [plain(row) for row in rows] == one["rows"], one["sql"]

        return once

    try:
        for unit in units:
            await (store.database.write if unit["is_writing"] else store.database.read)(work(unit["said"]))
    finally:
        await store.close()


async def test_what_the_version_before_says_to_its_database_works_on_the_newest_schema(place: Path | str) -> None:
    recorded = Path(__file__).with_name(f"statements_{int(HEAD) - 1:04d}.json")
    assert recorded.exists(), "record them with the version before: see old_statements.py"
    units = json.loads(recorded.read_text())
    assert sum(len(unit["said"]) for unit in units) > 50
    await say_again(migrated(place, "head"), units)


async def test_what_this_version_says_can_be_recorded_and_said_again(place: Path | str) -> None:
    await say_again(migrated(place, "head"), json.loads(json.dumps(await record())))


async def test_of_two_that_migrate_at_once_one_waits_for_the_other(place: Path | str, tmp_path: Path) -> None:
    """As processes: the second begins while the first holds its lock, and ends after it with nothing left to do."""
    engine = engine_of(migrated(place, revisions()[0]))
    with engine.begin() as connection:
        fill_first(connection.exec_driver_sql)
    engine.dispose()
    go = tmp_path / "go"
    arguments = (sys.executable, str(Path(__file__).with_name("migrating.py")), str(place), str(go))
    first = await asyncio.create_subprocess_exec(*arguments, "holding", stdout=asyncio.subprocess.PIPE)
    assert first.stdout is not None
    assert (await first.stdout.readline()).decode().strip() == "holding"
    second = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    assert second.stdout is not None
    assert (await second.stdout.readline()).decode().strip() == "begins"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(second.wait()), 1.5)
    go.touch()
    for process in (first, second):
        assert (await process.communicate())[0].decode().strip() == HEAD
        assert process.returncode == 0
    await look_around(place)


def set_version(place: Path | str, version: int) -> None:
    engine = engine_of(place)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": f"{version:04d}"})
    engine.dispose()


async def test_a_database_one_version_ahead_still_serves_one_further_ahead_does_not(place: Path | str) -> None:
    set_version(migrated(place, "head"), int(HEAD) + 1)
    store = open_store(place)
    assert await store.deployments.list() == ()
    await store.close()
    set_version(place, int(HEAD) + 2)
    store = open_store(place)
    with pytest.raises(StoreFailed, match=f"has schema {int(HEAD) + 2:04d}, this version works with {HEAD}"):
        await store.deployments.list()
    await store.close()
