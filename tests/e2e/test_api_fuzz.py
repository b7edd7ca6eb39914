"""The served OpenAPI document, fuzzed: no 500, no status or body that the document does not tell, nothing taken that it
forbids. More of it, for longer: `make fuzz-api`.

Control stands still meanwhile, so that what is accepted starts neither workers nor load; then it must digest all of it.
"""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_bodies import BROKEN, announce, pour, spoiled
from platform_rig import Up, up, wait_for

pytestmark = pytest.mark.timeout(3600)

OPENAI = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/responses")
_MODEL = {"model": "synthetic:tiny"}
_SAMPLING = {"max_tokens": 2, "temperature": 1, "top_p": 0.9, "stop": ["a"], "seed": 1, "stream": False}
BODIES: dict[str, dict[str, object]] = {
    "/infer": {**_MODEL, **_SAMPLING, "prompt": "p", "runtime": "sim"},
    "/v1/completions": {**_MODEL, **_SAMPLING, "prompt": "p", "logprobs": 1, "n": 1, "stream_options": {}},
    "/v1/chat/completions": {
        **_MODEL, **_SAMPLING, "messages": [{"role": "user", "content": "hi"}], "logprobs": True, "top_logprobs": 1,
        "tools": [], "response_format": {"type": "text"},
    },
    "/deploy": {
        **_MODEL, "runtime": "sim", "quant": "fp32", "name": "n", "replicas": 0, "target": "local", "max_model_len": 64,
        "resources": {"gpu": 0, "gpu_type": "a"}, "tensor_parallel": 1, "engine_args": {"seed": 1},
        "autoscale": {"min": 0, "max": 1, "target": 1}, "node_selector": {"a": "b"}, "tolerations": [{"key": "a"}],
        "env": ["A"], "revision": "r",
    },
    "/keys": {"name": "k", "scopes": ["infer"], "requests_per_minute": 1, "concurrency": 1},
    "/benchmarks/run": {
        **_MODEL, "runtimes": ["sim"], "workloads": [{"name": "w", "qps": 1, "requests": 1}], "seed": 1, "trials": 1,
        "keep": False, "order": "interleaved", "engine_args": {"sim": {"seed": 1}}, "max_model_len": 64,
        "resources": {"cpu": 1}, "slo": {"ttft_ms": 1},
    },
}  # fmt: skip

_CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "negative_data_rejection", "unsupported_method",
)  # fmt: skip
_MANY = 10
_CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503, 504]
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that serves `synthetic:tiny` on sim, with its control suspended."""
    with up(tmp_path_factory.mktemp("home")) as made:
        done = made.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny")
        assert done.returncode == 0, done.stderr
        control = made.part("control")
        control.suspend()
        try:
            yield made
        finally:
            control.resume()


def send(platform: Up, path: str, body: bytes) -> int:
    """The status of the answer."""
    request = urllib.request.Request(platform.url + path, data=body, headers={"content-type": "text/plain"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def fuzz(platform: Up, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run schemathesis on the whole document."""
    (folder / "schemathesis.toml").write_text(_CONFIG)
    words = [str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run", f"{platform.url}/openapi.json"]
    words += ["--checks", ",".join(_CHECKS), "--generation-database", "none", "--suppress-health-check", "all"]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    words += ["--request-timeout", "20", *options]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=3000, check=False)


def test_every_answer_is_as_the_document_says(platform: Up, tmp_path: Path, fuzz_examples: int) -> None:
    phases = "fuzzing" if fuzz_examples < _MANY else "coverage,fuzzing"
    done = fuzz(platform, tmp_path, "--phases", phases, "-n", str(fuzz_examples), "--seed", "1")
    assert done.returncode == 0, done.stdout[-8_000:]


@pytest.mark.parametrize("path", ["/deploy", "/keys", "/benchmarks/run", "/infer", *OPENAI])
def test_a_body_that_is_broken_is_refused_with_its_fault(platform: Up, path: str) -> None:
    statuses = {name: send(platform, path, body) for name, body in BROKEN.items()}
    assert {name: status for name, status in statuses.items() if not 400 <= status < 500} == {}


@pytest.mark.parametrize("path", [*BODIES])
def test_a_field_of_a_wrong_kind_never_fails_the_server(platform: Up, path: str) -> None:
    statuses = {name: send(platform, path, body) for name, body in spoiled(BODIES[path])}
    assert {name: status for name, status in statuses.items() if status >= 500} == {}
    assert sum(status >= 400 for status in statuses.values()) > 0.8 * len(statuses)


@pytest.mark.parametrize("path", ["/deploy", "/infer", "/v1/chat/completions"])
def test_a_hundred_megabytes_are_refused_and_not_kept(platform: Up, path: str) -> None:
    gateway = platform.part("gateway")
    host, port = platform.url.removeprefix("http://").split(":")
    before = gateway.memory_info().rss
    assert announce((host, int(port)), path, 100 << 20) == 413
    for _ in range(3):
        assert pour((host, int(port)), path, 100 << 20) in (413, 0)
    assert gateway.memory_info().rss - before < 48 << 20
    assert platform.call("GET", "/health/live")[0] == 200


def test_with_keys_every_answer_is_as_the_document_says(platform: Up, tmp_path: Path, fuzz_examples: int) -> None:
    status, made = platform.call("POST", "/keys", {"name": "root", "scopes": ["admin"]})
    assert status == 201
    platform.headers["authorization"] = f"Bearer {made['key']}"
    if fuzz_examples >= _MANY:  # what differs is the guard, which the next test asks; so the quick suite leaves it out
        options = ("--phases", "coverage,fuzzing", "-n", str(fuzz_examples), "--seed", "2")
        done = fuzz(platform, tmp_path, "-H", f"Authorization: Bearer {made['key']}", *options)
        assert done.returncode == 0, done.stdout[-8_000:]


def test_without_a_key_or_with_a_wrong_one_each_guarded_operation_is_401_and_says_so(platform: Up) -> None:
    document = platform.call("GET", "/openapi.json")[1]
    guarded = [(m, p) for p, methods in document["paths"].items() for m, one in methods.items() if "security" in one]
    assert len(guarded) > 30
    right = platform.headers.pop("authorization")
    for said in (None, "Bearer tf-000000000000-wrong"):
        platform.headers |= {} if said is None else {"authorization": said}
        for method, path in guarded:
            status, body = platform.call(method.upper(), path.replace("{", "").replace("}", ""))
            code = body["error"]["code"] if "/v1/" in path else body["code"]
            assert (method, path, status, code) == (method, path, 401, "invalid_api_key")
    platform.headers["authorization"] = right


def test_control_digests_what_was_accepted(platform: Up) -> None:
    control = platform.part("control")
    for benchmark in platform.call("GET", "/benchmarks?limit=1000")[1]["benchmarks"]:
        platform.call("POST", f"/benchmarks/{benchmark['id']}/cancel")
    for deployment in platform.call("GET", "/deployments")[1]["deployments"]:
        platform.call("DELETE", f"/deployments/{deployment['id']}")
    control.resume()
    wait_for(lambda: platform.call("GET", "/deployments")[1]["deployments"] == [], limit_s=60)
    assert platform.part("control").pid == control.pid
