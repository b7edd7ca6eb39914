"""A benchmark on a cluster as a user asks for it: deployed there, its load from pods, its records in S3 and a report.

The API server is a twin, the pods are processes, the S3 server is a real one.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster_rig import Cluster, cluster
from own_children import words_of
from platform_rig import Up, up, wait_for
from s3_rig import S3

PACE = {"drain_s": 2, "leave_s": 0, "start_s": 60}
BENCHMARK = """
target: kubernetes
model: synthetic:tiny
runtimes: [sim]
trials: 2
workloads: [{name: w, qps: 20, requests: 120, prompt_len: 16, gen_tokens: 8}]
"""


@pytest.fixture
def platform(tmp_path: Path, home: Path, rclone: S3) -> Iterator[tuple[Up, Cluster]]:
    url = rclone.url(prefix=tmp_path.name)
    keys = {name: rclone.env[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    secret = {
        "url": url, "access_key_id": keys["AWS_ACCESS_KEY_ID"], "secret_access_key": keys["AWS_SECRET_ACCESS_KEY"],
    }  # fmt: skip
    with ExitStack() as stack:
        there = stack.enter_context(
            cluster(
                tmp_path / "cluster",
                home,
                kubeconfig=None,
                site={"pace": PACE},
                secrets={"tokenforge-artifacts": secret},
            )
        )
        yield stack.enter_context(up(tmp_path / "home", **there.settings, TOKENFORGE_ARTIFACTS_URL=url, **keys)), there


def submit(here: Up, folder: Path) -> str:
    """The one run of the benchmark."""
    (folder / "b.yaml").write_text(BENCHMARK)
    done = here.run("runs", "submit", str(folder / "b.yaml"), "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["runs"][0]["id"])


def ended(here: Up, run: str) -> str:
    """Its status once it has ended."""
    over = ("succeeded", "failed", "interrupted", "cancelled")
    wait_for(lambda: here.call("GET", f"/runs/{run}")[1]["status"] in over, limit_s=150)
    return str(here.call("GET", f"/runs/{run}")[1]["status"])


def record(here: Up, run: str) -> dict[str, Any]:
    """What is kept of it in S3, as the API gives it."""
    names = {one["name"]: one["url"] for one in here.call("GET", f"/runs/{run}/artifacts")[1]["artifacts"]}
    (name,) = [name for name in names if name.endswith("record.json")]
    return dict(here.call("GET", names[name])[1])


def drivers() -> list[psutil.Process]:
    """Pods that offer load, of this machine and of this process alone."""
    children = psutil.Process().children(recursive=True)
    return [process for process in children if "driver-pod" in words_of(process)]


def test_it_is_deployed_measured_from_pods_kept_and_cleared_and_a_lost_pod_is_measured_again(
    platform: tuple[Up, Cluster], tmp_path: Path
) -> None:
    here, there = platform
    run = submit(here, tmp_path)
    wait_for(lambda: bool(drivers()), limit_s=100)
    os.kill(drivers()[0].pid, signal.SIGKILL)
    assert ended(here, run) == "succeeded", events(here, run)
    (kept,) = record(here, run)["runs"]
    trials = kept["trials"]
    assert [trial["driver"]["sent"] for trial in trials] == [120, 120]
    assert all(any("offered by 1 pods on" in note for note in trial["notes"]) for trial in trials)
    assert any("attempt 1 does not count: driver pod" in note for note in trials[0]["notes"])
    wait_for(lambda: not there.pods(), limit_s=60)
    assert drivers() == []


def events(here: Up, run: str) -> str:
    return here.run("runs", "show", run, "--events").stdout


def test_without_a_cluster_or_a_store_that_pods_reach_it_is_refused(tmp_path: Path) -> None:
    with up(tmp_path / "home") as here:
        (tmp_path / "b.yaml").write_text(BENCHMARK)
        done = here.run("runs", "submit", str(tmp_path / "b.yaml"))
        assert done.returncode == 2
        assert "target" in done.stderr
        assert "TOKENFORGE_KUBERNETES=site.yaml" in done.stderr
        here_alone = here.run("bench", str(tmp_path / "b.yaml"))
        assert here_alone.returncode == 2
        assert "tokenforge runs submit" in here_alone.stderr
