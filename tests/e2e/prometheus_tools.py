"""Prometheus, Alertmanager and promtool: those of this machine, or Debian's packages unpacked into the user's cache."""

import functools
import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from platform_rig import answers, free_port, wait_for

_CACHE = Path.home() / ".cache" / "tokenforge" / "prometheus"
_PACKAGES = ("prometheus", "prometheus-alertmanager")


@functools.cache
def _unpacked() -> str | None:
    """Fetch and unpack the packages once; None when that worked, else why it did not."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "there is no apt-get to fetch it with"
    _CACHE.mkdir(parents=True, exist_ok=True)
    fetched = subprocess.run(
        ["apt-get", "download", *_PACKAGES], cwd=_CACHE, capture_output=True, text=True, timeout=120, check=False
    )
    for package in sorted(_CACHE.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(_CACHE)], check=False, timeout=60)
    return None if fetched.returncode == 0 else f"apt-get download failed: {fetched.stderr.strip()[-200:]}"


def tool(name: str) -> str:
    """The program; skips the test, saying why, where it cannot be had."""
    unpacked = _CACHE / "usr" / "bin" / name
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else None)
    why = None if found else _unpacked()
    if found is None and not unpacked.exists():
        pytest.skip(f"{name} is not installed, and {why}")
    return found or str(unpacked)


class Prometheus:
    """A running one at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as answer:
            return json.loads(answer.read())["data"]

    def value(self, expr: str) -> float | None:
        """The one value of an instant query; None where there is none."""
        found = self.ask("query", query=expr)["result"]
        return float(found[0]["value"][1]) if found else None

    def had_data(self, expr: str, *, since_s: float, until_s: float) -> bool:
        """Whether the query gave a number at any second of a span."""
        data = self.ask("query_range", query=expr, start=f"{since_s:.0f}", end=f"{until_s:.0f}", step="1")
        return any(value != "NaN" for series in data["result"] for _, value in series["values"])


@contextmanager
def prometheus(
    folder: Path, *, targets_url: str, rules: Sequence[Path], alertmanager: str = ""
) -> Iterator[Prometheus]:
    """Scrape what the gateway lists, each second."""
    program, port = tool("prometheus"), free_port()
    config: dict[str, object] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {"job_name": "tokenforge", "http_sd_configs": [{"url": targets_url, "refresh_interval": "1s"}]}
        ],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    command = [
        program, f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with _running(command, folder / "prometheus.log", ready_url=f"http://127.0.0.1:{port}/-/ready"):
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """One that keeps what it is told; gives its address."""
    program, port = tool("prometheus-alertmanager"), free_port()
    file = folder / "alertmanager.yml"
    file.write_text(json.dumps({"route": {"receiver": "none", "group_wait": "1s"}, "receivers": [{"name": "none"}]}))
    command = [
        program, f"--config.file={file}", f"--storage.path={folder / 'alerts'}", "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with _running(command, folder / "alertmanager.log", ready_url=f"http://127.0.0.1:{port}/-/ready"):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(command: Sequence[str], log: Path, *, ready_url: str) -> Iterator[None]:
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env={**os.environ, "GOMAXPROCS": "1"})
    try:
        wait_for(lambda: answers(ready_url), limit_s=30)
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
