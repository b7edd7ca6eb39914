"""The platform on PostgreSQL and S3, each of which restarts, slows down, refuses or fills while a benchmark runs."""

import contextlib
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from platform_rig import Up, up, wait_for

from servers.postgres import Postgres
from servers.proxy import Proxy
from servers.s3 import RcloneS3
from servers.small_disk import SmallDisk, can_mount, small_disk

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not can_mount(), reason="a small file system can be mounted by root alone"),
]
BENCHMARK: dict[str, Any] = {
    "model": "synthetic:tiny", "runtimes": ["sim"], "trials": 2,
    "workloads": [{"name": "short", "qps": 8, "duration_s": 2, "prompt_len": 32, "gen_tokens": 8}],
}  # fmt: skip
TROUBLE_S = 6.0
"""From within the run to after its load's end, and past the lease of control."""


@dataclass(slots=True)
class Rig:
    """A platform, and what is behind it: servers on small disks, proxies in between."""

    platform: Up
    postgres: Postgres
    s3: RcloneS3
    to_postgres: Proxy
    to_s3: Proxy
    postgres_disk: SmallDisk
    s3_disk: SmallDisk

    def start(self) -> str:
        """Ask for a benchmark and wait until it runs; its run's id."""
        status, made = self.platform.call("POST", "/benchmarks/run", BENCHMARK)
        assert status == 202, made
        run = str(made["runs"][0]["id"])
        wait_for(lambda: self.status(run) == "running", limit_s=60)
        return run

    def status(self, run: str) -> str:
        """What the platform says of it; empty while it cannot say."""
        status, said = self.platform.call("GET", f"/runs/{run}")
        assert status in (200, 503), said
        return str(said["status"]) if status == 200 else ""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        folder.chmod(0o755)
        postgres_disk = stack.enter_context(small_disk(folder / "postgres", megabytes=140))
        s3_disk = stack.enter_context(small_disk(folder / "s3", megabytes=30))
        postgres = Postgres(folder=postgres_disk.folder / "data", is_durable=False)
        s3 = RcloneS3(folder=s3_disk.folder)
        postgres.start()
        stack.callback(postgres.stop, "immediate")
        s3.start()
        stack.callback(s3.stop)
        to_postgres, to_s3 = Proxy(postgres.port), Proxy(s3.port)
        stack.callback(to_postgres.close)
        stack.callback(to_s3.close)
        settings = {
            "TOKENFORGE_DATABASE_URL": postgres.url(port=to_postgres.port),
            "TOKENFORGE_ARTIFACTS_URL": s3.url(port=to_s3.port), **s3.env(),
        }  # fmt: skip
        platform = stack.enter_context(up(folder / "home", **settings))
        assert platform.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny").returncode == 0
        yield Rig(platform, postgres, s3, to_postgres, to_s3, postgres_disk, s3_disk)


@contextlib.contextmanager
def slow(proxy: Proxy) -> Iterator[None]:
    proxy.delay_s = 0.2
    yield
    proxy.delay_s = 0.0


@contextlib.contextmanager
def refusing(proxy: Proxy) -> Iterator[None]:
    proxy.refuse()
    yield
    proxy.serve()


@contextlib.contextmanager
def stopped(server: Postgres | RcloneS3) -> Iterator[None]:
    server.stop("immediate") if isinstance(server, Postgres) else server.stop()
    yield
    server.start()


@contextlib.contextmanager
def full(disk: SmallDisk, *, of: Postgres | None) -> Iterator[None]:
    disk.fill()
    yield
    disk.free()
    if of is not None and not of.is_up():  # without room for its log it ends itself
        of.restart()


Trouble = Callable[[Rig], contextlib.AbstractContextManager[None]]
TROUBLES: dict[str, Trouble] = {
    "database restarts": lambda rig: stopped(rig.postgres),
    "database is slow": lambda rig: slow(rig.to_postgres),
    "database refuses": lambda rig: refusing(rig.to_postgres),
    "database is full": lambda rig: full(rig.postgres_disk, of=rig.postgres),
    "S3 restarts": lambda rig: stopped(rig.s3),
    "S3 is slow": lambda rig: slow(rig.to_s3),
    "S3 refuses": lambda rig: refusing(rig.to_s3),
    "S3 is full": lambda rig: full(rig.s3_disk, of=None),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_run_goes_on_whatever_its_stores_do_and_all_of_it_is_kept(rig: Rig, name: str) -> None:
    run = rig.start()
    with TROUBLES[name](rig):
        time.sleep(TROUBLE_S)
    wait_for(lambda: rig.status(run) in ("succeeded", "failed", "interrupted"), limit_s=90)
    said = rig.platform.call("GET", f"/runs/{run}")[1]
    assert said["status"] == "succeeded", said
    files = rig.platform.call("GET", f"/runs/{run}/artifacts")[1]["artifacts"]
    assert {one["name"] for one in files} == {"report.html", "report.md", "record.json", "requests.parquet"}
    with urllib.request.urlopen(f"{rig.platform.url}/runs/{run}/report", timeout=20) as page:
        assert b"<html" in page.read()
    record = rig.platform.call("GET", f"/runs/{run}/artifacts/record.json")[1]
    assert len(record["runs"][0]["trials"]) == BENCHMARK["trials"]
