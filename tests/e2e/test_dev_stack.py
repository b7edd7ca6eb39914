"""`make dev`: PostgreSQL and S3 behind the three calls of the specification, a report by its link, and no rests."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg
import pytest
from own_children import words_of
from platform_rig import free_port, wait_for

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(240)
DEPLOY = {"model": "synthetic:tiny", "runtime": "sim", "name": "mine"}
INFER = {"model": "synthetic:tiny", "prompt": "Explain KV cache", "max_tokens": 16, "temperature": 0.2}
BENCHMARK = {
    "model": "synthetic:tiny", "runtimes": ["sim"],
    "workloads": [{"name": "qa-short", "qps": 5, "duration_s": 2, "prompt_len": 64, "gen_tokens": 8}],
}  # fmt: skip


def stack(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """What `make dev` and `make dev-stop` run, with its state in `folder`."""
    ours = ("TOKENFORGE_DATABASE_URL", "TOKENFORGE_ARTIFACTS_URL", "TOKENFORGE_SERVER", "TOKENFORGE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, str(ROOT / "dev" / "stack.py"), *words], cwd=ROOT, capture_output=True, text=True, timeout=150,
        env={**env, "TOKENFORGE_DEV": str(folder), "HF_HUB_OFFLINE": "1"}, check=False,
    )  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        made = Path(name) / "dev"
        yield made
        stack(made, "stop")


def call(url: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=60) as answer:
        return answer.status, json.loads(answer.read())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def link_of(url: str) -> str:
    """Where the platform sends who asks for it."""
    status, heads = refusal(url)
    assert status == 307
    return heads["location"]


def refusal(url: str) -> tuple[int, dict[str, str]]:
    """Status and heads of an answer that is none of the good ones."""
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=20) as answer:
            return int(answer.status), {}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}


def processes_of(folder: Path) -> list[str]:
    """Every living process that has the folder in its command line or environment, but this one and its parents."""
    mine = {os.getpid(), *(one.pid for one in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*words_of(process), *process.environ().values()]
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            if process.pid not in mine and is_alive and any(str(folder) in word for word in words):
                found.append(" ".join(words_of(process)[:6]))
    return found


def test_the_three_calls_run_on_postgres_and_s3_and_nothing_is_left(folder: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    started = stack(folder, "start", "--port", str(port))
    assert started.returncode == 0, started.stderr
    assert call(f"{url}/deploy", DEPLOY)[0] in (201, 202)
    wait_for(lambda: bool(call(f"{url}/deployments/mine")[1]["ready"]), limit_s=60)
    status, answer = call(f"{url}/infer", INFER)
    assert (status, answer["runtime"]) == (200, "sim")
    status, queued = call(f"{url}/benchmarks/run", BENCHMARK)
    assert status == 202
    run = queued["runs"][0]["id"]
    wait_for(lambda: call(f"{url}/runs/{run}")[1]["status"] in ("succeeded", "failed"), limit_s=90)
    assert call(f"{url}/runs/{run}")[1]["status"] == "succeeded"
    link = link_of(f"{url}/runs/{run}/report")
    with urllib.request.urlopen(link, timeout=20) as page:
        report = page.read()
        assert page.headers["content-type"].startswith("text/html")
    assert b"qa-short" in report
    settings = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
    with psycopg.connect(settings["TOKENFORGE_DATABASE_URL"].strip("'")) as connection:
        kept = connection.execute("SELECT count(*) FROM artifact").fetchone()
    assert kept == (4,)
    assert refusal(link.replace("X-Amz-Signature=", "X-Amz-Signature=0"))[0] == 403
    assert stack(folder, "start").returncode != 0, "a second one beside it"
    stopped = stack(folder, "stop")
    assert stopped.returncode == 0, stopped.stderr
    assert processes_of(folder) == []
    again = stack(folder, "start", "--port", str(port))
    assert again.returncode == 0, again.stderr
    assert call(f"{url}/runs/{run}")[1]["status"] == "succeeded"
    assert stack(folder, "stop").returncode == 0
    assert processes_of(folder) == []
