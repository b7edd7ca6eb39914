"""`tokenforge parity` as a user runs it: exit codes, words, files; and on the two real engines."""

import json
from pathlib import Path

import pytest
from command import Run


def test_the_simulator_says_the_same_as_itself(tokenforge: Run, tmp_path: Path) -> None:
    done = tokenforge("parity", "sim", "sim", "--model", "synthetic:tiny", "--prompts", "4", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASS: sim@0.1.0 (B) says the same as sim@0.1.0 (A): 4 of 4 answers are equal")
    assert "is simulated: its answers say nothing of a model" in done.stdout
    assert (tmp_path / "out" / "parity.md").read_text().startswith("# Parity: ✓ Pass")


def test_json_is_one_document_that_names_what_it_rests_on(tokenforge: Run, tmp_path: Path) -> None:
    done = tokenforge("parity", "sim", "sim", "--model", "synthetic:tiny", "--prompts", "2", "--out", "out", "--json")
    document = json.loads(done.stdout)
    assert document["parity"]["verdict"] == "PASS"
    assert document["command"].startswith("tokenforge parity sim sim --model synthetic:tiny")
    recordings = json.loads((tmp_path / "out" / "recordings.json").read_text())
    assert len(recordings["candidate"]["answers"]) == 2
    assert json.loads((tmp_path / "out" / "parity.json").read_text()).items() <= document.items()


def test_a_server_that_is_not_there_is_an_error_of_use(tokenforge: Run) -> None:
    done = tokenforge("parity", "http://127.0.0.1:9", "sim", "--model", "synthetic:tiny")
    assert done.returncode == 2
    assert "Nothing usable answers at http://127.0.0.1:9/v1/models" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runtime_that_is_not_known_is_an_error_of_use(tokenforge: Run) -> None:
    done = tokenforge("parity", "sim", "vlm", "--model", "synthetic:tiny")
    assert done.returncode == 2
    assert "B = 'vlm'" in done.stderr


@pytest.mark.engine
@pytest.mark.timeout(400)
def test_transformers_and_vllm_say_the_same(tokenforge: Run) -> None:
    done = tokenforge("parity", "transformers", "vllm", "--model", "synthetic:tiny", "--json", timeout_s=380)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["parity"]
    assert (found["verdict"], found["number_format"]) == ("PASS", "float32")
    assert found["free"]["exact"] == found["free"]["prompts"] == 16
    assert found["forced"]["tokens"] == 512
