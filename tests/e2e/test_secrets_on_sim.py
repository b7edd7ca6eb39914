"""Secrets are planted over the whole platform, which works, fails in every way, and is searched to the last file."""

import base64
import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import psycopg
import pytest
from command import COMMAND
from otlp_sink import Sink, otlp_sink
from own_children import words_of
from platform_rig import Up, free_port, up, wait_for

from servers.postgres import Postgres
from servers.proxy import Proxy
from servers.s3 import RcloneS3

pytestmark = pytest.mark.timeout(300)
PASSWORD, S3_SECRET, HUB, OTLP = "canary-db-pw", "canary-s3-secret", "hf_canaryhubtoken", "canary-otlp"
INDEX, OPENAI, WRONG, IN_URL = "canary-index-pw", "canary-openai", "canary-wrong", "canary-in-url"
BENCHMARK = {
    "model": "synthetic:tiny", "runtimes": ["sim"],
    "workloads": [{"name": "short", "qps": 5, "duration_s": 2, "prompt_len": 64, "gen_tokens": 8}],
}  # fmt: skip


@dataclass(slots=True)
class Rig:
    """A platform that was told every secret, and whatever anybody got to see of it."""

    platform: Up
    out: Path
    traces: Sink
    servers: "tuple[Postgres, RcloneS3, Proxy, Proxy] | None"
    secrets: dict[str, str]
    said: dict[str, bytes] = field(default_factory=dict)

    def run(self, *words: str, **settings: str) -> "subprocess.CompletedProcess[bytes]":
        """A command; what it said is kept."""
        env = {**self.platform.env, "TOKENFORGE_API_KEY": self.secrets["key"], **settings}
        done = subprocess.run([*COMMAND, *words], env=env, capture_output=True, timeout=100, check=False, cwd=self.out)
        self.said[f"tokenforge {' '.join(words)[:60]} {len(self.said)}"] = done.stdout + done.stderr
        return done

    def call(self, path: str, body: bytes | None = None, *, key: str | None = None) -> int:
        """A request; the answer is kept, with its heads."""
        heads = {"authorization": f"Bearer {key or self.secrets['key']}", "content-type": "application/json"}
        request = urllib.request.Request(self.platform.url + path, data=body, headers=heads)
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=60) as answer:
                status, got = answer.status, bytes(answer.headers) + answer.read()
        except urllib.error.HTTPError as error:
            status, got = error.code, bytes(error.headers) + error.read()
        self.said[f"{path} {status} {len(self.said)}"] = got
        return int(status)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@contextlib.contextmanager
def behind(folder: Path) -> "Iterator[tuple[Postgres, RcloneS3, Proxy, Proxy]]":
    """PostgreSQL and S3 with planted secrets, and proxies in between."""
    postgres, s3 = Postgres(folder=folder / "postgres", password=PASSWORD), RcloneS3(folder=folder / "s3")
    s3.secret = S3_SECRET
    with contextlib.ExitStack() as stack:
        postgres.start()
        stack.callback(postgres.stop, "immediate")
        s3.start()
        stack.callback(s3.stop)
        proxies = Proxy(postgres.port), Proxy(s3.port)
        for proxy in proxies:
            stack.callback(proxy.close)
        yield (postgres, s3, *proxies)


@pytest.fixture(params=["embedded", "servers"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        folder.chmod(0o755)
        traces = stack.enter_context(otlp_sink())
        settings = {
            "HF_TOKEN": HUB, "OPENAI_API_KEY": OPENAI, "TOKENFORGE_LOG_REQUESTS": "on",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": traces.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{OTLP}",
            "PIP_EXTRA_INDEX_URL": f"http://me:{INDEX}@127.0.0.1:{free_port()}/simple",
        }  # fmt: skip
        servers = None
        if request.param == "servers":
            servers = stack.enter_context(behind(folder))
            postgres, s3, to_postgres, to_s3 = servers
            settings |= {
                "TOKENFORGE_DATABASE_URL": postgres.url(port=to_postgres.port),
                "TOKENFORGE_ARTIFACTS_URL": s3.url(port=to_s3.port), **s3.env(),
            }  # fmt: skip
        out = folder / "out"
        out.mkdir()
        platform = stack.enter_context(up(folder / "home", **settings))
        secrets = {
            "database password": PASSWORD, "S3 secret": S3_SECRET, "hub token": HUB, "OTLP header": OTLP,
            "package index": INDEX, "OpenAI key": OPENAI, "wrong key": WRONG, "in a URL": IN_URL,
        }  # fmt: skip
        made = subprocess.run(
            [*COMMAND, "keys", "create", "root", "--scope", "admin"], capture_output=True, text=True, check=True,
            env={name: value for name, value in platform.env.items() if name != "TOKENFORGE_SERVER"}, timeout=60,
        )  # fmt: skip
        yield Rig(platform, out, traces, servers, {**secrets, "key": made.stdout.strip()})


def work(rig: Rig) -> str:
    """What a user does when all goes well; the id of a run that was kept."""
    assert rig.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny").returncode == 0
    assert rig.call("/infer", b'{"model": "synthetic:tiny", "prompt": "p", "max_tokens": 3}') == 200
    assert rig.call("/benchmarks/run", json.dumps(BENCHMARK).encode()) == 202
    queued = json.loads(rig.said[next(name for name in rig.said if "/benchmarks/run" in name)].partition(b"\n\n")[2])
    run = str(queued["runs"][0]["id"])

    def is_over() -> bool:
        rig.platform.headers["authorization"] = f"Bearer {rig.secrets['key']}"
        return rig.platform.call("GET", f"/runs/{run}")[1]["status"] in ("succeeded", "failed")

    wait_for(is_over, limit_s=90)
    assert rig.platform.call("GET", f"/runs/{run}")[1]["status"] == "succeeded"
    url = rig.platform.url.replace("http://", f"http://me:{IN_URL}@")
    rig.run("bench", "--url", url, "--model", "synthetic:tiny", "--rate", "5", "--duration", "2", "--out", "one",
            "--no-calibration", OPENAI_API_KEY=rig.secrets["key"])  # fmt: skip
    assert rig.run("runs").returncode == 0
    assert rig.run("runs", "export", run, "-o", "run.tgz").returncode == 0
    for path in (f"/runs/{run}", f"/runs/{run}/artifacts", f"/runs/{run}/report", "/deployments", "/metrics", "/keys"):
        assert rig.call(path) in (200, 307), path
    return run


def fail(rig: Rig, run: str) -> None:
    """Whatever can go wrong does."""
    rig.run("deploy", "hf:nobody/nothing-of-that-name", "--runtime", "sim", "--name", "lost")
    rig.run("deploy", "synthetic:tiny", "--runtime", "transformers@0.0.1", "--name", "uv")
    rig.run("runtimes", "install", "vllm@0.0.1")
    rig.run("deployments", TOKENFORGE_API_KEY=WRONG)
    assert rig.call("/deployments", key=WRONG) == 401
    assert rig.call("/infer", b'{"model": 1, "prompt": ["canary') == 400
    rig.run("runs", TOKENFORGE_DATABASE_URL=f"postgresql://u:{WRONG}@127.0.0.1:{free_port()}/d")
    rig.run("runs", TOKENFORGE_DATABASE_URL=f"mysql://u:{WRONG}@h/d")
    rig.run("runs", "export", run, TOKENFORGE_ARTIFACTS_URL=f"s3://me:{WRONG}@b/p")
    if rig.servers is None:
        return
    postgres, _, to_postgres, to_s3 = rig.servers
    rig.run("runs", TOKENFORGE_DATABASE_URL=postgres.url().replace(PASSWORD, WRONG))
    rig.run("runs", "export", run, "-o", "other.tgz", AWS_SECRET_ACCESS_KEY=WRONG)
    to_s3.refuse()
    rig.run("runs", "export", run, "-o", "again.tgz")
    to_postgres.refuse()
    assert rig.call("/runs") == 503
    rig.run("runs")
    to_postgres.serve()
    to_s3.serve()


def everything(rig: Rig) -> Iterator[tuple[str, bytes]]:
    """All that was said, written, stored, measured, traced, and how processes were called."""
    yield from rig.said.items()
    folders = [Path(rig.platform.env["TOKENFORGE_HOME"]), rig.out]
    if rig.servers is not None:
        postgres, s3, *_ = rig.servers
        folders.append(s3.folder / "data")
        yield "the database", dump(postgres.url())
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                with contextlib.suppress(FileNotFoundError):  # a journal that ends just now
                    yield str(path), path.read_bytes()
    yield "traces", repr(rig.traces.spans).encode()
    for process in rig.platform.everything():
        yield f"command line of {process.pid}", " ".join(words_of(process)).encode()
    for target in targets(rig):
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as page:
            yield f"metrics of {target}", page.read()


def targets(rig: Rig) -> list[str]:
    status, groups = rig.platform.call("GET", "/metrics/targets")
    assert status == 200
    own = rig.platform.url.removeprefix("http://")
    return [one for group in groups for one in group["targets"] if one != own]


def dump(url: str) -> bytes:
    """Every row of every table as text."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f'SELECT t::text FROM "{name}" t'.encode()).fetchall() for (name,) in names]
    return "\n".join(str(row[0]) for table in rows for row in table).encode()


def test_no_secret_is_said_written_stored_measured_or_traced_by_anything(rig: Rig) -> None:
    run = work(rig)
    fail(rig, run)
    found = []
    looked: set[str] = set()
    for where, data in everything(rig):
        looked.add(where)
        for name, secret in rig.secrets.items():
            forms = (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("="))
            if any(form.encode() in data for form in forms):
                found.append(f"{name} in {where}")
    assert found == []
    assert rig.traces.spans, "nothing was traced, so nothing was searched"
    assert OTLP in rig.traces.headers["authorization"]
    assert any("requests.parquet" in one or "/blobs/" in one for one in looked)
    assert len(looked) > 40
