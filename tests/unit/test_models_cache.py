"""Synthetic models made once: by whom, after a kill, and how long one waits."""

import fcntl
from pathlib import Path

import pytest

from tokenforge.domain.errors import StoreFailed
from tokenforge.models.model_cache import made_once


def make_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def refuse(folder: Path) -> Path:
    raise AssertionError(f"{folder} was made twice")


def test_what_exists_is_not_made_again(tmp_path: Path) -> None:
    made_once(tmp_path / "model", make_folder, wait_s=1)
    assert made_once(tmp_path / "model", refuse, wait_s=1) == tmp_path / "model"


def test_leftovers_of_a_killed_maker_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".model.partial-x7").mkdir()
    (tmp_path / ".other.partial-x7").mkdir()
    made_once(tmp_path / "model", make_folder, wait_s=1)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [".other.partial-x7", "model"]


def test_waiting_for_another_maker_has_a_limit(tmp_path: Path) -> None:
    with (tmp_path / ".model.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreFailed, match="another process has been making model"):
            made_once(tmp_path / "model", refuse, wait_s=0)


def test_a_maker_that_fails_lets_the_next_one_in(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        made_once(tmp_path / "model", refuse, wait_s=0)
    assert made_once(tmp_path / "model", make_folder, wait_s=0).is_dir()
