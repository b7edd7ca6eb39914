"""A client that leaves frees its slot in a real engine within a second.

Both runtimes have one slot here: whether it is free shows in what the worker's metrics say, and in that the next
request has it at once, which no bookkeeping of ours could feign.
"""

import http.client
import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_rig import Up, own_home, up, wait_for
from prometheus_client.parser import text_string_to_metric_families

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

SLOT_LIMIT_S = 1.0
ONE_SLOT = {"transformers": "max_requests_per_batch=1", "vllm": "max_num_seqs=1"}
LONG = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 1900, "ignore_eos": True}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Up]:
    """A home of its own, with the environments that were made once; both engines come up side by side."""
    with up(own_home(tmp_path_factory.mktemp("home"), home)) as made:
        for runtime, slots in ONE_SLOT.items():
            words = ("deploy", "synthetic:tiny", "--runtime", runtime, "--name", runtime, "--engine-arg", slots)
            done = made.run(*words, "--no-wait", timeout_s=60)
            assert done.returncode == 0, done.stderr
        for runtime in ONE_SLOT:
            wait_for(lambda: bool(made.call("GET", f"/deployments/{runtime}")[1]["ready"]), limit_s=500)  # noqa: B023
        yield made


def open_requests(platform: Up, runtime: str) -> float:
    """What the worker says that its engine runs and holds waiting."""
    folder = Path(platform.env["TOKENFORGE_HOME"]) / "platform" / "workers"
    (state,) = folder.glob(f"{runtime}-*.state.json")
    port = json.loads(state.read_text())["said"]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    values = {sample.name: sample.value for family in families for sample in family.samples}
    return values["tokenforge_requests_running"] + values["tokenforge_requests_waiting"]


def ask(platform: Up, runtime: str, **changes: object) -> http.client.HTTPConnection:
    """Send a request and do not read its answer."""
    client = http.client.HTTPConnection(platform.url.removeprefix("http://"), timeout=30)
    headers = {"content-type": "application/json", "x-tokenforge-runtime": runtime}
    client.request("POST", "/v1/completions", json.dumps({**LONG, **changes}), headers)
    return client


def leave(client: http.client.HTTPConnection) -> float:
    """Close the connection under the answer; when."""
    assert client.sock is not None
    client.sock.shutdown(socket.SHUT_RDWR)
    client.close()
    return time.monotonic()


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("runtime", list(ONE_SLOT))
def test_the_slot_of_a_client_that_leaves_is_free_within_a_second(platform: Up, runtime: str, is_stream: bool) -> None:
    client = ask(platform, runtime, stream=is_stream)
    wait_for(lambda: open_requests(platform, runtime) == 1, limit_s=20)
    left_s = leave(client)
    wait_for(lambda: open_requests(platform, runtime) == 0, limit_s=20)
    free_s = time.monotonic() - left_s
    client = ask(platform, runtime, max_tokens=1)
    assert client.getresponse().status == 200
    client.close()
    next_s = time.monotonic() - left_s
    print(f"{runtime} stream={is_stream}: free after {free_s:.3f} s, the next was answered after {next_s:.3f} s")
    assert free_s < SLOT_LIMIT_S
    assert next_s < 2 * SLOT_LIMIT_S
