"""Secrets are planted everywhere the store meets one; then everything that it wrote and said is searched."""

import logging
from pathlib import Path

import pytest
from databases import Databases
from kept_samples import a_record
from s3_rig import S3

from servers.ports import free_port
from tokenforge.domain.errors import TokenForgeError
from tokenforge.settings import read_settings
from tokenforge.store.archive import Archive
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.kept import kept_of
from tokenforge.store.sql.store import open_store


async def test_no_secret_is_said_when_things_go_well_or_badly(
    tmp_path: Path, databases: Databases, rclone: S3, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {"pw": databases.server.password, "s3": rclone.env["AWS_SECRET_ACCESS_KEY"], "wrong": "canary-wrong"}
    said: list[str] = []
    for url, key in (
        (databases.new(), secrets["s3"]),
        (databases.new(), secrets["wrong"]),
        (f"postgresql://u:{secrets['wrong']}@127.0.0.1:{free_port()}/d", secrets["s3"]),
        (databases.new().replace(secrets["pw"], secrets["wrong"]), secrets["s3"]),
    ):
        env = {**rclone.env, "AWS_SECRET_ACCESS_KEY": key}
        try:
            await keep_one(tmp_path / "result", url=url, s3=rclone, env=env)
        except TokenForgeError as error:
            chain = [error, error.__cause__]
            said += [f"{one!r} {one}" for one in chain]
    assert len(said) == 6
    settings = read_settings({**rclone.env, "TOKENFORGE_DATABASE_URL": f"postgresql://u:{secrets['pw']}@h/d"})
    said += [repr(settings), caplog.text, *files_in(tmp_path / "result")]
    for name, secret in secrets.items():
        assert not any(secret in text for text in said), name


async def keep_one(folder: Path, *, url: str, s3: S3, env: dict[str, str]) -> None:
    store = open_store(url)
    try:
        blobs = open_blobs(s3.url(prefix="secrets"), env=env, default=folder)
        await Archive(blobs=blobs, rows=store.blobs, kept=store.kept).keep(folder, kept_of(a_record(folder)))
    finally:
        await store.close()


def files_in(folder: Path) -> list[str]:
    return [path.read_text("latin-1") for path in sorted(folder.iterdir())]
