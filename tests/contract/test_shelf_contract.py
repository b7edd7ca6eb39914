"""What every shelf promises: a folder, and a real S3 server."""

import os
from pathlib import Path

import pytest
from s3_rig import S3

from tokenforge.domain.errors import NotFound
from tokenforge.store.blobs.opening import open_shelf
from tokenforge.store.shelf import Shelf


@pytest.fixture(params=["folder", "rclone"])
def shelves(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Shelf, Shelf]:
    """The same shelf as two processes have it."""
    if request.param == "folder":
        url, env = str(tmp_path / "kept"), dict[str, str]()
    else:
        s3: S3 = request.getfixturevalue("rclone")
        url, env = s3.url(prefix=tmp_path.name), dict(s3.env)
    return open_shelf(url, env=env, folder="drivers/a"), open_shelf(url, env=env, folder="drivers/a")


async def test_what_one_lays_down_the_other_finds_and_nothing_is_none(shelves: tuple[Shelf, Shelf]) -> None:
    one, other = shelves
    assert await other.get("word") is None
    await one.put("word", b"first")
    assert await other.get("word") == b"first"


async def test_what_lay_there_is_replaced(shelves: tuple[Shelf, Shelf]) -> None:
    one, other = shelves
    for number in range(5):
        await one.put("word", str(number).encode())
        assert await other.get("word") == str(number).encode()


async def test_a_large_file_comes_back_whole(shelves: tuple[Shelf, Shelf], tmp_path: Path) -> None:
    one, other = shelves
    content = os.urandom(9 << 20)
    (tmp_path / "journal").write_bytes(content)
    await one.put_file("journal", tmp_path / "journal")
    await other.get_file("journal", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    with pytest.raises(NotFound):
        await other.get_file("other", tmp_path / "none")


async def test_a_cleared_shelf_is_empty_and_another_is_left(shelves: tuple[Shelf, Shelf]) -> None:
    one, other = shelves
    await one.put("word", b"a")
    await one.put("more", b"b")
    await other.clear()
    assert [await one.get(name) for name in ("word", "more")] == [None, None]
    await other.clear()
