"""The load generator harness with real processes: what a command costs, its limit, and whole trials."""

import sys
import time
from pathlib import Path

import pytest
from own_children import children_with

from harness.checks_driver import slot_check
from harness.child import ChildFailed, run_measured
from harness.clients.base import Client, Load
from harness.clients.ours import Ours
from harness.clients.ours_command import OursCommand
from harness.clients.raw import RawC, RawPython
from harness.home import CannotInstall, Home
from harness.soak import soak_check
from harness.trial import run_trial
from harness.truth import NoCompiler, compiled

BUSY = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
FORKS = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {!r}], start_new_session=True){}"


def python(code: str) -> list[str]:
    """A command that runs `code`."""
    return [sys.executable, "-c", code]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home; skips where there is no truth server."""
    try:
        compiled()
    except NoCompiler as error:
        pytest.skip(str(error))
    return Home(root=tmp_path / "home")


def test_the_cost_of_a_command_is_that_of_its_whole_tree(tmp_path: Path) -> None:
    code = FORKS.format(BUSY.format(0.3), ".wait()") + "\n" + BUSY.format(0.2)
    cost = run_measured(python(code), env={}, folder=tmp_path, limit_s=30)
    assert 0.5 <= cost.cpu_s < 1.5
    assert cost.cpu_until(cost.started_ns) == 0
    assert cost.cpu_until(cost.ended_ns) == cost.cpu_s


def test_a_process_that_was_left_behind_is_counted_and_ended(tmp_path: Path) -> None:
    code = FORKS.format("import time; time.sleep(60)", "; print('left')")
    before = time.monotonic()
    run_measured(python(code), env={}, folder=tmp_path, limit_s=30)
    assert time.monotonic() - before < 15
    assert not children_with("time.sleep(60)")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('no such option')", "exit code 1: no such option"),
        ("print('waiting', flush=True); import time; time.sleep(60)", "did not end within 1 s: waiting"),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9: it said nothing"),
    ],
)
def test_a_command_that_ends_badly_is_told_with_its_last_words(code: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match=words):
        run_measured(python(code), env={}, folder=tmp_path, limit_s=1 if "sleep" in code else 20)


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="could not be run"):
        run_measured([str(tmp_path / "nothing")], env={}, folder=tmp_path, limit_s=5)


@pytest.mark.parametrize("client", [Ours(), OursCommand(), RawC(), RawPython()], ids=lambda client: client.name)
@pytest.mark.parametrize("pace", ["rate", "streams"])
def test_a_trial_matches_every_request_and_sees_its_tokens(
    client: Client, pace: str, home: Home, tmp_path: Path
) -> None:
    client.install(home)
    open_loop = pace == "rate"
    load = Load(requests=30, tokens=8, seed=1, rate=60.0 if open_loop else None, streams=None if open_loop else 5)
    trial = run_trial(client, load, home=home, folder=tmp_path / "trial")
    assert trial.failure is None
    assert trial.figures is not None
    assert (trial.figures.completed, trial.figures.failed, trial.figures.errors.matched) == (30, 0, 30)
    assert (trial.figures.errors.ttft_p50_ms or 0) < 5
    assert (trial.figures.errors.gap_p50_ms or 0) < 5
    assert trial.figures.first_request_s > 0
    assert (trial.figures.tokens_per_s is None) is open_loop
    assert not (tmp_path / "trial").exists()


def test_a_client_that_fails_is_a_trial_with_a_reason(home: Home, tmp_path: Path) -> None:
    trial = run_trial(Ours(), Load(requests=0, tokens=8, seed=1, rate=60.0), home=home, folder=tmp_path / "trial")
    assert trial.figures is None
    assert "exit code 1" in (trial.failure or "")


def test_an_environment_is_made_once_and_again_when_its_list_changes(home: Home) -> None:
    step = ("-c", "import pathlib, sys; pathlib.Path(sys.prefix, 'made').open('a').write('x')")
    check = "import pathlib, sys; print(pathlib.Path(sys.prefix, 'made').read_text())"
    assert home.environment("peer", [step], checks=check) == "x"
    assert home.environment("peer", [step], checks=check) == "x"
    assert home.environment("peer", [step, step], checks=check) == "xx"


def test_a_peer_that_cannot_be_installed_says_why(home: Home) -> None:
    with pytest.raises(CannotInstall, match="no such package"):
        home.environment("peer", [("-c", "import sys; sys.exit('no such package')")], checks="print(1)")


def test_the_wait_before_a_full_server_is_seen_from_the_schedule(home: Home, tmp_path: Path) -> None:
    del home
    assert slot_check(tmp_path).holds


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_short_soak_keeps_every_record(is_killed: bool, home: Home, tmp_path: Path) -> None:
    del home
    found = soak_check(tmp_path, minutes=0.1, rate=50, is_killed=is_killed)
    assert found.holds, found.text
