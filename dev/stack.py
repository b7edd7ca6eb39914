"""`make dev` and `make dev-stop`: PostgreSQL, an S3 server, Prometheus and the platform on them, without Docker.

Everything runs from packages, as processes of this machine, in one folder. What was started is written down with its
start time before the next thing starts, so `stop` ends exactly that, also after a start that failed half way.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from servers.ports import LOCALHOST, free_port, until
from servers.postgres import Postgres
from servers.prometheus import Prometheus, is_here
from servers.s3 import RcloneS3

FOLDER = Path(os.environ.get("TOKENFORGE_DEV") or Path(tempfile.gettempdir()) / f"tokenforge-dev-{os.geteuid()}")
STATE = FOLDER / "started.json"
_STUB = {"model": "synthetic:tiny", "runtime": "sim", "name": "stub"}
_STOP_LIMIT_S = 60.0


def start(*, port: int) -> None:
    """Start all of it; say where it is."""
    if STATE.exists():
        raise SystemExit(f"it runs already (folder {FOLDER}); make dev-stop ends it")
    FOLDER.mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o711)  # PostgreSQL's ordinary user must reach its own folder in it
    try:
        env = _servers()
        url = _platform(env, port=port or free_port())
        _prometheus(url)
        _deploy(url)
    except BaseException:
        stop()
        raise
    say(f"""
TokenForge is up at {url} on PostgreSQL and S3 (state and logs: {FOLDER})
  try:   tokenforge infer synthetic:tiny "hello" --server {url}
  env:   set -a; . {FOLDER}/env; set +a
  end:   make dev-stop""")


def stop() -> None:
    """End what was started, the last first; fail when something is left."""
    started = json.loads(STATE.read_text()) if STATE.exists() else []
    for name, pid, started_s in reversed(started):
        _end(name, _find(pid, started_s))
    left = [name for name, pid, started_s in started if _find(pid, started_s) is not None]
    if left:
        raise SystemExit(f"still there: {', '.join(left)}")
    STATE.unlink(missing_ok=True)
    say(f"{len(started)} processes ended; what they kept is in {FOLDER}")


def say(text: str) -> None:
    """To who looks on."""
    sys.stdout.write(text.strip("\n") + "\n")
    sys.stdout.flush()


def _servers() -> dict[str, str]:
    """PostgreSQL and S3, and the settings that name them; passwords stay what they were at the first start."""
    known = _read_env()
    postgres = Postgres(folder=FOLDER / "postgres")
    if "password" in known:
        postgres.password = known["password"]
    postgres.start()
    _note("PostgreSQL", int((FOLDER / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))
    s3 = RcloneS3(folder=FOLDER / "s3")
    s3.start()
    assert s3.process is not None
    _note("S3 (rclone)", s3.process.pid)
    env = {
        "TOKENFORGE_DATABASE_URL": postgres.url(), "TOKENFORGE_ARTIFACTS_URL": s3.url(),
        "TOKENFORGE_HOME": str(FOLDER / "home"), **s3.env(),
    }  # fmt: skip
    file = FOLDER / "env"
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}='{value}'\n" for name, value in env.items()))
    (FOLDER / "password").touch(mode=0o600)
    (FOLDER / "password").write_text(postgres.password)
    return env


def _read_env() -> dict[str, str]:
    file = FOLDER / "password"
    return {"password": file.read_text()} if file.exists() else {}


def _platform(env: dict[str, str], *, port: int) -> str:
    url = f"http://{LOCALHOST}:{port}"
    with (FOLDER / "up.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tokenforge.cli", "up", "--port", str(port)],
            env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    _note("tokenforge up", process.pid)
    until(lambda: process.poll() is not None or _answers(f"{url}/health/ready"), limit_s=60, what="tokenforge up")
    if process.poll() is not None:
        raise SystemExit((FOLDER / "up.log").read_text()[-2000:])
    return url


def _prometheus(url: str) -> None:
    if not is_here():
        say("Prometheus is not installed here, so there is none (Debian: apt-get install prometheus)")
        return
    server = Prometheus(folder=FOLDER / "prometheus", gateway=url.removeprefix("http://"))
    server.start()
    assert server.process is not None
    _note("Prometheus", server.process.pid)
    say(f"Prometheus is at http://{LOCALHOST}:{server.port}")


def _deploy(url: str) -> None:
    """A stub worker, which needs no model and no GPU."""
    command = ["deploy", _STUB["model"], "--runtime", _STUB["runtime"], "--name", _STUB["name"], "--server", url]
    done = subprocess.run(
        [sys.executable, "-m", "tokenforge.cli", *command], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode and "is there already" not in done.stderr:
        raise SystemExit(done.stderr)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _note(name: str, pid: int) -> None:
    started = json.loads(STATE.read_text()) if STATE.exists() else []
    started.append([name, pid, psutil.Process(pid).create_time()])
    STATE.write_text(json.dumps(started))


def _find(pid: int, started_s: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        is_it = abs(process.create_time() - started_s) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if is_it else None


def _end(name: str, process: psutil.Process | None) -> None:
    if process is None:
        return
    end_s = time.monotonic() + _STOP_LIMIT_S
    process.send_signal(2 if name == "PostgreSQL" else 15)  # SIGINT is its fast shutdown
    try:
        process.wait(max(0.1, end_s - time.monotonic()))
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["start", "stop"])
    parser.add_argument("--port", type=int, default=8080)
    asked = parser.parse_args()
    if asked.what == "start":
        start(port=asked.port)
    else:
        stop()
