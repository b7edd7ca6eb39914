"""The small commands, as a user runs them."""

import json
import time
from pathlib import Path

from command import Run

EXAMPLE = """
model: meta-llama/Llama-3-8b-instruct
runtimes: [vllm, transformers]
workloads:
  - name: qa-short
    qps: 5
    duration_s: 180
    prompt_len: 256
    gen_tokens: 128
"""


def test_the_example_of_the_specification_is_planned_without_hub_or_gpu(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(EXAMPLE)
    done = tokenforge("bench", "example.yaml", "--plan")
    assert done.returncode == 0, done.stderr
    assert "qa-short" in done.stdout
    assert "poisson 5/s" in done.stdout


def test_a_plan_as_json_names_the_environments(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(EXAMPLE)
    plan = json.loads(tokenforge("bench", "example.yaml", "--plan", "--json").stdout)
    assert [name.partition("@")[0] for name in plan["environments"]] == ["vllm", "transformers"]


def test_help_names_every_command(tokenforge: Run) -> None:
    words = tokenforge("--help").stdout
    names = ("bench", "report", "runs", "gate", "export", "reproduce", "doctor", "runtimes", "models")
    assert all(name in words for name in names)


def test_help_answers_at_once(tokenforge: Run) -> None:
    tokenforge("--help")
    began = time.monotonic()
    tokenforge("--help")
    assert time.monotonic() - began < 2


def test_the_runtimes_are_listed(tokenforge: Run) -> None:
    rows = json.loads(tokenforge("runtimes", "--json").stdout)
    assert {"openai", "sim", "transformers", "vllm"} <= {row["name"] for row in rows}


def test_the_doctor_reports_every_check(tokenforge: Run) -> None:
    report = json.loads(tokenforge("doctor", "--json").stdout)
    assert {check["name"] for check in report["checks"]} >= {"CPU", "GPU", "memory", "disk", "timer", "runtimes"}


def test_the_doctor_measures_ceilings_and_keeps_them(
    tokenforge: Run, command_env: dict[str, str], tmp_path: Path
) -> None:
    command_env["TOKENFORGE_HOME"] = str(tmp_path / "home")
    assert json.loads(tokenforge("doctor", "--json").stdout)["ceilings"] == []
    measured = json.loads(tokenforge("doctor", "--measure", "--json").stdout)["ceilings"]
    assert measured[0]["kind"] == "measured"
    assert measured == json.loads(tokenforge("doctor", "--json").stdout)["ceilings"]


def test_a_model_is_made_and_described(tokenforge: Run, tmp_path: Path) -> None:
    assert tokenforge("models", "make", "synthetic:tiny", "made").returncode == 0
    assert (tmp_path / "made" / "model.safetensors").exists()
    facts = json.loads(tokenforge("models", "describe", "./made", "--json").stdout)
    assert 4_000_000 < facts["parameters"] < 6_000_000


def test_a_folder_that_is_not_empty_is_not_written_into(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    done = tokenforge("models", "make", "synthetic:tiny", "full")
    assert done.returncode == 2
    assert "is not empty" in done.stderr


def test_file_and_url_together_are_refused(tokenforge: Run) -> None:
    done = tokenforge("bench", "x.yaml", "--url", "http://127.0.0.1:9", "--rate", "1")
    assert done.returncode == 2
    assert "exactly one" in done.stderr


def test_a_report_of_an_empty_folder_says_what_it_needs(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = tokenforge("report", "empty")
    assert done.returncode == 2
    assert "record.json" in done.stderr
