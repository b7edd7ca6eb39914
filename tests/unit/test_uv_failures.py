"""What uv says when it fails never shows a credential, however it is written, and a late program leaves nothing."""

import time
from pathlib import Path

import psutil
import pytest

from tokenforge.runtimes.uv import UvFailed, explain_failure, run_uv


def write_program(folder: Path, body: str) -> str:
    program = folder / "uv"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("userinfo", "secret"),
    [("me:hunter2@", "hunter2"), ("hunter2@", "hunter2"), (":hunter2@", "hunter2"), ("me:p%40hunter2@", "hunter2")],
)
def test_no_spelling_of_a_credential_is_told_or_kept(tmp_path: Path, userinfo: str, secret: str) -> None:
    line = f"error: Failed to fetch: `https://{userinfo}index.example/simple/engine/`"
    program, said = write_program(tmp_path, f"echo '{line}' >&2; exit 2"), list[str]()
    with pytest.raises(UvFailed) as raised:
        run_uv([], env={}, tell=said.append, limit_s=10, find_uv=lambda: program)
    shown = [*said, raised.value.reason, raised.value.advice, *raised.value.last_words]
    assert "https://index.example/simple/engine/" in raised.value.reason
    assert not [text for text in shown if secret in text]


def test_two_credentials_in_one_line_are_both_hidden(tmp_path: Path) -> None:
    program, said = write_program(tmp_path, "echo 'from http://a:one@x/ or http://b:two@y/'"), list[str]()
    run_uv([], env={}, tell=said.append, limit_s=10, find_uv=lambda: program)
    assert said == ["from http://x/ or http://y/"]


def test_the_real_uv_that_cannot_reach_its_index_does_not_show_the_key_to_it(tmp_path: Path) -> None:
    arguments = ["pip", "install", "--target", str(tmp_path / "t"), "--index-url", "http://me:hunter2@127.0.0.1:9/s"]
    env = {"PATH": "/usr/bin:/bin", "UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path / "cache")}
    said: list[str] = []
    with pytest.raises(UvFailed) as raised:
        run_uv([*arguments, "engine-that-is-none"], env=env, tell=said.append, limit_s=30)
    assert raised.value.reason.startswith("a package could not be fetched")
    assert raised.value.advice == "Check the network to your package index"
    assert "hunter2" not in repr([said, raised.value.reason, raised.value.last_words])


def test_a_full_disk_wins_over_the_package_that_met_it() -> None:
    said = ["error: Failed to fetch: `https://i/engine`", "  Caused by: No space left on device (os error 28)"]
    assert explain_failure(said).reason == "the disk is full"


def test_a_name_that_uv_breaks_over_lines_is_whole_in_the_sentence() -> None:
    said = [
        "  × No solution found when resolving dependencies:",
        "  ╰─▶ Because",
        "      tokenforge-no-such-xyz was not found in the package registry and you require",
        "      tokenforge-no-such-xyz==1, we can conclude that your requirements are unsatisfiable.",
    ]
    assert explain_failure(said).reason == "tokenforge-no-such-xyz cannot be had"


def test_a_program_over_its_limit_is_ended_soon_with_its_children_and_its_last_words(tmp_path: Path) -> None:
    program = write_program(tmp_path, "/bin/sleep 30 & echo $!; wait")
    began = time.monotonic()
    with pytest.raises(UvFailed, match=r"it took more than 0\.3 s") as raised:
        run_uv([], env={}, tell=lambda _: None, limit_s=0.3, find_uv=lambda: program)
    while is_alive(int(raised.value.last_words[0])):
        assert time.monotonic() - began < 5, "its child goes on"
    assert time.monotonic() - began < 5


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
