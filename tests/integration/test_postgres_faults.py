"""A PostgreSQL that is gone, comes again, or is held up: an error that says so, and nothing told of secrets."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from databases import Databases

from servers.ports import free_port
from tokenforge.domain.errors import InvalidInput, StoreUnavailable
from tokenforge.settings import read_settings
from tokenforge.store.sql.database_url import check_database_url, shown_url
from tokenforge.store.sql.store import open_store

HOLDER = """
import asyncio, sys
from tokenforge.store.sql.store import open_store

async def main():
    store = open_store(sys.argv[1])
    def work(db):
        db.execute("UPDATE change SET version = version + 1")
        print("holding", flush=True)
        import time; time.sleep(600)
    await store.database.write(work)

asyncio.run(main())
"""


async def test_a_database_that_is_not_there_is_told_without_its_password() -> None:
    store = open_store(f"postgresql://me:canary-pw@127.0.0.1:{free_port()}/db")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as caught:
        await store.observations.version()
    assert "canary-pw" not in f"{caught.value}{caught.value.__cause__}"


async def test_a_wrong_password_is_told_without_it(databases: Databases) -> None:
    url = databases.empty().replace(databases.server.password, "canary-pw")
    store = open_store(url)
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        await store.observations.version()
    assert "canary-pw" not in str(caught.value)


async def test_after_a_restart_the_same_store_goes_on(databases: Databases) -> None:
    store = open_store(databases.new())
    before = await store.observations.version()
    databases.server.restart("immediate")
    assert await store.observations.version() == before
    await store.close()


async def test_a_writer_that_is_frozen_holds_up_others_for_seconds_only(databases: Databases, tmp_path: Path) -> None:
    url = databases.new()
    store = open_store(url)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, url, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"holding\n"
        os.kill(holder.pid, signal.SIGSTOP)
        async with asyncio.timeout(9):
            await store.events.append("d", reason="Tick", message="in spite of it")
        assert await store.observations.version() == 0  # what it had begun is undone
    finally:
        holder.kill()
        await holder.communicate()
        await store.close()


@pytest.mark.parametrize(
    "url", ["mysql://a:canary-pw@h/d", "postgresql:/x", "canary-pw", "postgresql://u:canary-pw@h:0/d"]
)
def test_an_address_that_is_none_is_refused_without_repeating_a_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="TOKENFORGE_DATABASE_URL") as caught:
        check_database_url(url)
    assert "canary-pw" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@ss@h:5/d?password=p", "postgres://u:p@h:5/d", "postgresql+psycopg://h:5/d"]
)
def test_an_address_is_shown_without_user_password_and_options(url: str) -> None:
    assert shown_url(url) in ("postgresql://h:5/d", "postgres://h:5/d")


def test_child_processes_are_not_told_the_database() -> None:
    settings = read_settings({"TOKENFORGE_DATABASE_URL": "postgresql://u:canary-pw@h/d", "HOME": "/root"})
    assert settings.database_url == "postgresql://u:canary-pw@h/d"
    assert "canary-pw" not in f"{settings}"
    assert "TOKENFORGE_DATABASE_URL" not in settings.child_env
