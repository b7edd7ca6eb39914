"""A platform of its own for a benchmark: `tokenforge up` in a home under the results, and its API in a few calls.

Environments and models of the user's home are linked, so nothing is installed or made again; deployments, keys and runs
of the user are not touched. When the block ends, the platform and all its workers do.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu.servers import NotUp, free_port, served

_UP = (sys.executable, "-P", "-c", "from tokenforge.cli.main import run; run()", "up", "--port")
_UP_LIMIT_S = 60.0
_CALL_LIMIT_S = 60.0
_GONE_LIMIT_S = 90.0
_POLL_S = 0.5
_MOST_FAILURES = 2
_ENDED = "tokenforge_requests_total{"
_LINKED = ("environments", "models")


@dataclass(frozen=True, slots=True)
class Platform:
    """One that runs, at `url`."""

    url: str

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """The JSON that it answers. Raises NotUp with its words when it refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_CALL_LIMIT_S) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise NotUp(f"{method} {path}: {error.code} {error.read().decode(errors='replace')[:500]}") from error

    def served(self, deployment: str, replica: str) -> int:
        """How many requests a replica has ended so far, by its own count. Raises NotUp when it does not tell."""
        url = f"{self.url}/deployments/{deployment}/replicas/{replica}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=_CALL_LIMIT_S) as answer:
                lines = answer.read().decode().splitlines()
        except OSError as error:
            raise NotUp(f"the metrics of {replica}: {error}") from error
        return round(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(_ENDED)))

    def deploy(self, body: Mapping[str, object], *, limit_s: float) -> Any:
        """The deployment, once it serves. Raises NotUp with the cause when it does not within `limit_s`."""
        path = f"/deployments/{self.call('POST', '/deploy', body)['id']}"
        until = time.monotonic() + limit_s
        while True:
            seen = self.call("GET", path)
            if seen["ready"]:
                return seen
            causes = [f"{one['reason']}: {one['message']}" for one in seen["conditions"] if one["status"] == "False"]
            if seen["observed"]["failures"] >= _MOST_FAILURES or time.monotonic() > until:
                raise NotUp(f"{seen['name']} is {seen['status']}: {'; '.join(causes)}")
            time.sleep(_POLL_S)

    def delete(self, name: str) -> None:
        """End it, where it is there, and wait until its workers are gone. Raises NotUp when they stay."""
        until, is_asked = time.monotonic() + _GONE_LIMIT_S, False
        while any(one["name"] == name for one in self.call("GET", "/deployments")["deployments"]):
            if not is_asked:
                self.call("DELETE", f"/deployments/{name}")
                is_asked = True
            if time.monotonic() > until:
                raise NotUp(f"{name} is still there after {_GONE_LIMIT_S:g} s")
            time.sleep(_POLL_S)


@contextmanager
def platform(folder: Path, *, home: Path) -> Iterator[Platform]:
    """`tokenforge up` with its state under `folder` and what is installed in `home`. Raises NotUp."""
    own = folder / "home"
    own.mkdir(parents=True, exist_ok=True)
    for name in _LINKED:
        (home / name).mkdir(parents=True, exist_ok=True)
        if not (own / name).exists():
            (own / name).symlink_to((home / name).resolve())
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {**os.environ, "TOKENFORGE_HOME": str(own.resolve()), "TOKENFORGE_SERVER": url}
    env.pop("TOKENFORGE_DATABASE_URL", None)
    log = folder / "up.log"
    with served([*_UP, str(port)], url=f"{url}/health/live", log=log, env=env, limit_s=_UP_LIMIT_S):
        yield Platform(url)
