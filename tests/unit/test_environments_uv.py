"""uv's answers as sentences, and what of the process environment it is given. No process starts here."""

from pathlib import Path

import pytest

from tokenforge.runtimes.uv import UvFailed, explain_failure, run_uv, uv_environment

NO_VERSION = """
  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of engine==9.9 and you require engine==9.9, we
      can conclude that your requirements are unsatisfiable.
"""
NO_PACKAGE = """
  × No solution found when resolving dependencies:
  ╰─▶ Because engine-that-is-none was not found in the package registry and you
      require engine-that-is-none==1, we can conclude that your requirements are unsatisfiable.
"""
NOT_CACHED = """
  ╰─▶ Because engine was not found in the provided package locations and you require engine, we can
      conclude that your requirements are unsatisfiable.
"""
FULL = "error: Failed to extract archive\n  Caused by: failed to write: No space left on device (os error 28)"
OFFLINE = "error: Failed to fetch: `https://index.example/simple/engine/`\n  Caused by: dns error"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (NO_VERSION, "engine==9.9 cannot be had"),
        (NO_PACKAGE, "engine-that-is-none cannot be had"),
        (NOT_CACHED, "engine cannot be had"),
        (FULL, "the disk is full"),
        (OFFLINE, "a package could not be fetched; error: Failed to fetch"),
        ("error: something new", "error: something new"),
    ],
)
def test_a_failure_becomes_one_sentence_with_advice(said: str, reason: str) -> None:
    failure = explain_failure(said.splitlines())
    assert failure.reason.startswith(reason)
    assert "\n" not in failure.reason
    assert failure.advice


def test_the_last_lines_are_kept_as_they_were() -> None:
    assert explain_failure(["Resolved", "", "error: no"]).last_words == ("Resolved", "error: no")


def test_a_very_long_answer_is_cut_to_its_end() -> None:
    assert len(explain_failure(["error: " + "x" * 5_000 + " the end"]).reason) < 410


@pytest.mark.parametrize("name", ["PIP_CERT", "REQUESTS_CA_BUNDLE"])
def test_pips_certificates_are_uvs_too(name: str) -> None:
    assert uv_environment({name: "/ca.pem"})["SSL_CERT_FILE"] == "/ca.pem"


def test_certificates_set_for_all_win_over_pips() -> None:
    assert uv_environment({"PIP_CERT": "/a", "SSL_CERT_FILE": "/b"})["SSL_CERT_FILE"] == "/b"


def test_pips_index_is_uvs_default_unless_uv_was_told_otherwise() -> None:
    assert uv_environment({"PIP_INDEX_URL": "https://i"})["UV_DEFAULT_INDEX"] == "https://i"
    assert uv_environment({"PIP_INDEX_URL": "https://i", "UV_DEFAULT_INDEX": "u"})["UV_DEFAULT_INDEX"] == "u"


@pytest.mark.parametrize("name", ["VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"])
def test_an_outer_environment_does_not_leak_in(name: str) -> None:
    assert uv_environment({name: "/outer", "HOME": "/h"}) == {"HOME": "/h"}


def write_program(folder: Path, body: str) -> str:
    program = folder / "uv"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return str(program)


def test_progress_is_told_line_by_line_without_credentials_or_package_lists(tmp_path: Path) -> None:
    said: list[str] = []
    body = "echo 'Resolved 2 packages'; echo ' + a==1' >&2; echo 'from https://me:secret@host/simple' >&2"
    program = write_program(tmp_path, body)
    run_uv([], env={}, tell=said.append, limit_s=10, find_uv=lambda: program)
    assert said == ["Resolved 2 packages", "from https://host/simple"]


def test_a_failure_repeats_no_credentials(tmp_path: Path) -> None:
    program = write_program(tmp_path, "echo 'error: Failed to fetch: https://me:secret@host/simple'; exit 2")
    with pytest.raises(UvFailed) as raised:
        run_uv([], env={}, tell=lambda _: None, limit_s=10, find_uv=lambda: program)
    assert "secret" not in raised.value.reason + "".join(raised.value.last_words)


def test_an_install_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    program = write_program(tmp_path, "echo begun; (exec /bin/sleep 30) & wait")
    with pytest.raises(UvFailed, match=r"more than 0\.2 s"):
        run_uv([], env={}, tell=lambda _: None, limit_s=0.2, find_uv=lambda: program)


def test_a_missing_uv_is_named() -> None:
    def nowhere() -> str:
        raise FileNotFoundError

    with pytest.raises(UvFailed, match="uv is missing"):
        run_uv([], env={}, tell=lambda _: None, limit_s=1, find_uv=nowhere)
