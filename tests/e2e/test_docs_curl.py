"""The curl examples of the README and of the platform's page, run as they stand, and what they answer checked against
the served OpenAPI document. Where no engine is wanted, runtimes are replaced by the simulator and loads are shortened.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from platform_rig import Up, up, wait_for

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/how-to/run-the-platform.md")
DEPLOY = {"model": "synthetic:tiny", "runtime": "sim"}


def curls(page: str) -> list[str]:
    """Every curl command of the code blocks of a page."""
    parts = re.split(r"^```.*$", (ROOT / page).read_text().replace("\\\n", " "), flags=re.MULTILINE)
    return [line for block in parts[1::2] for line in block.splitlines() if line.startswith("curl ")]


EXAMPLES = [(page, command) for page in PAGES for command in curls(page)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that serves `synthetic:tiny` on sim."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    with up(tmp_path_factory.mktemp("home")) as made:
        made.call("POST", "/deploy", DEPLOY)
        wait_for(lambda: made.call("GET", "/deployments/tiny-sim")[1]["ready"], limit_s=20)
        yield made


def run(platform: Up, command: str) -> tuple[str, str, int, str]:
    """Path, method, status, body of a curl command, sent to this platform."""
    words = shlex.split(command.replace("localhost:8080", platform.url.removeprefix("http://")))
    done = subprocess.run(
        [*words, "-w", "\n%{http_code} %{method} %{url_effective}"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    body, _, last = done.stdout.rpartition("\n")
    status, method, url = last.split()
    return url.removeprefix(platform.url), method, int(status), body


def on_sim(command: str) -> str:
    """The same with nothing that takes long."""
    command = re.sub(r'"duration_s": \d+', '"duration_s": 1', command).replace('["vllm", "transformers"]', '["sim"]')
    command = re.sub(r'"runtime": "\w+", "quant": "\w+"', '"runtime": "sim", "quant": "fp32"', command)
    return re.sub(r'"runtime": "(vllm|transformers)"', '"runtime": "sim"', command)


def check(platform: Up, path: str, method: str, status: int, body: str) -> None:
    """Raise where the document does not say that this is answered so."""
    document: Any = platform.call("GET", "/openapi.json")[1]
    told = document["paths"][path][method.lower()]["responses"][str(status)]["content"]
    if "data: " in body:
        assert "text/event-stream" in told
        return
    schema = {**told["application/json"]["schema"], "components": document["components"]}
    jsonschema_rs.validate(schema, json.loads(body))


def test_there_are_examples_of_each_call_of_the_first_specification() -> None:
    for page in PAGES:
        commands = " ".join(curls(page))
        assert all(path in commands for path in ("/deploy", "/infer", "/benchmarks/run", "/v1/chat/completions"))


@pytest.mark.parametrize(("page", "command"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_answers_what_the_document_says(platform: Up, page: str, command: str) -> None:
    path, method, status, body = run(platform, on_sim(command))
    assert (page, command, 200 <= status < 300) == (page, command, True), body
    check(platform, path, method, status, body)
