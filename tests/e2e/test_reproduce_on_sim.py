"""A run packed into a bundle, checked by somebody else, and run again on the simulator."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from command import COMMAND, Run

SPEC = """
model: synthetic:tiny
runtimes: [sim]
trials: 3
engine_args: {sim: {step_ms: 10}}
workloads:
  - {name: open, qps: 20, duration_s: 1, prompt_len: 32, gen_tokens: 8}
  - {name: closed, concurrency: 2, requests: 8, prompt_len: 32, gen_tokens: 8}
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """The folder of one run, measured once for all tests here."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "b.yaml").write_text(SPEC)
    env = {**os.environ, "TOKENFORGE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    command = [*COMMAND, "bench", "b.yaml", "--no-calibration", "--out", "run"]
    subprocess.run(command, cwd=folder, env=env, capture_output=True, check=True, timeout=100)
    return folder / "run"


@pytest.fixture
def bundle(tokenforge: Run, measured: Path, tmp_path: Path) -> Path:
    """`run.tgz` of a copy of the run, both in the folder that the command runs in."""
    shutil.copytree(measured, tmp_path / "run")
    done = tokenforge("export", "run", "-o", "run.tgz")
    assert done.returncode == 0, done.stderr
    return tmp_path / "run.tgz"


def test_a_bundle_is_checked_without_the_run_it_came_from(tokenforge: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "run").rename(tmp_path / "gone")
    done = tokenforge("reproduce", "run.tgz", "--json")
    assert done.returncode == 0, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert {check["equal"] for check in checks} == {True}
    assert [check["detail"] for check in checks if check["name"].startswith("plans")] == ["3 of 3 digests"] * 2
    with tarfile.open(bundle) as tar:
        assert tar.getnames() == ["manifest.json", "spec.json", "record.json", "requests.parquet"]


def test_the_same_run_is_packed_into_the_same_bytes(tokenforge: Run, bundle: Path, tmp_path: Path) -> None:
    assert tokenforge("export", "run", "-o", "again.tgz").returncode == 0
    assert (tmp_path / "again.tgz").read_bytes() == bundle.read_bytes()


def test_plans_and_pages_that_do_not_come_out_are_named(tokenforge: Run, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "run" / "record.json"
    path.write_text(path.read_text().replace('"qps": 20.0', '"qps": 21.0'))
    assert tokenforge("export", "run", "-o", "run.tgz").returncode == 0
    done = tokenforge("reproduce", bundle.name)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "DIFFERS" in line]
    assert [line.split()[0] for line in lines] == ["spec", "plans", "report.html", "record.json"]
    assert "3 of 3 digests differ" in done.stdout


def test_a_run_is_repeated_and_compared(tokenforge: Run, bundle: Path, tmp_path: Path) -> None:
    done = tokenforge("reproduce", bundle.name, "--run", "--out", "second", "--margin", "0.5", "--json")
    answer = json.loads(done.stdout)["replication"]
    assert answer["differences"] == []
    assert answer["numbers"] in {"replicated", "undecided"}
    assert done.returncode == {"replicated": 0, "undecided": 2}[answer["answer"]]
    assert len(answer["metrics"]) == 4
    assert (tmp_path / "second" / "again" / "report.html").exists()
    digests = [
        [trial["plan_digest"] for run in json.loads(path.read_text())["runs"] for trial in run["trials"]]
        for path in (tmp_path / "second").glob("*/record.json")
    ]
    assert digests[0] == digests[1]


def test_another_machine_is_named(tokenforge: Run, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "run" / "record.json"
    record = json.loads(path.read_text())
    record["environment"]["machine"]["cpu_model"] = "Another CPU"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    assert tokenforge("report", "run").returncode == 0
    assert tokenforge("export", "run", "-o", bundle.name).returncode == 0
    done = tokenforge("reproduce", bundle.name, "--run")
    assert done.returncode == 2
    assert "Environment differs (1 point below)" in done.stdout
    assert "CPU model: Another CPU -> " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "nowhere"], "nowhere does not exist"),
        (["export", "old"], "tokenforge.record/0"),
        (["export", "bare"], "requests.parquet is not there"),
        (["reproduce", "nowhere.tgz"], "nowhere.tgz is not a file"),
        (["reproduce", "cut.tgz"], "cut.tgz is cut short or no bundle"),
        (["reproduce", "evil.tgz"], "'../evil', which does not belong in a bundle"),
        (["reproduce", "cut.tgz", "--margin", "7"], "is not a share between 0 and 1"),
    ],
)
def test_input_that_cannot_be_used_is_one_clear_error(
    tokenforge: Run, tmp_path: Path, arguments: list[str], words: str
) -> None:
    for name, text in (("old", '{"schema": "tokenforge.record/0"}'), ("bare", '{"schema": "tokenforge.record/1"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(text)
    with tarfile.open(tmp_path / "evil.tgz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    (tmp_path / "cut.tgz").write_bytes((tmp_path / "evil.tgz").read_bytes()[:40])
    done = tokenforge(*arguments)
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert "Traceback" not in done.stderr
