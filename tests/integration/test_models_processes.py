"""Models across real processes: made once by two, resolved without a network, loaded by the public libraries."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from engine_runs import Engines

from tokenforge.domain.errors import NotFound
from tokenforge.models.hub import MODEL_FILES, fetch_snapshot
from tokenforge.models.successor import successor_recital
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.registry import find_plug

MAKE = """
import sys
from pathlib import Path
from tokenforge.models import model_cache
made = []
real = model_cache.make_synthetic
model_cache.make_synthetic = lambda *a, **k: made.append(1) or real(*a, **k)
print(model_cache.cached_synthetic("tiny", home=Path(sys.argv[1])), len(made))
"""

RECITE = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
chat = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True, tokenize=False)
prompt = tokenizer(chat, return_tensors="pt").input_ids
answer = model.generate(prompt, max_new_tokens=1500, do_sample=False)[0, prompt.shape[1]:].tolist()
print(json.dumps({"prompt": prompt[0].tolist(), "answer": answer, "text": tokenizer.decode(answer[:-1])}))
"""


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_two_processes_make_a_model_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0].split() for process in both]
    assert answers[0][0] == answers[1][0]
    assert sorted(made for _, made in answers) == ["0", "1"]


def test_a_process_killed_while_making_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from tokenforge.models import synthetic, safetensors_file;"
        "safetensors_file._header = lambda *a: os.kill(os.getpid(), signal.SIGKILL);"
        "synthetic.make_synthetic('tiny', Path(sys.argv[1]))"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "tiny")], check=False)
    assert ended.returncode == -9
    assert not (tmp_path / "tiny").exists()


def test_a_hub_that_is_not_reached_is_an_answer_and_not_a_silence(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(NotFound, match=r"owner/name (can't be fetched: no hub is reached|.*HF_HUB_OFFLINE)"):
        fetch_snapshot("owner/name", offline=False, patterns=MODEL_FILES, endpoint=endpoint, cache=tmp_path)


def test_offline_the_cache_alone_is_asked(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"owner/name is not in the local cache.*HF_HUB_OFFLINE"):
        fetch_snapshot("owner/name", offline=True, patterns=MODEL_FILES, cache=tmp_path)


@pytest.mark.parametrize("offline", [True, False])
def test_a_cached_model_is_found_without_a_hub(tmp_path: Path, offline: bool) -> None:
    place = tmp_path / "models--owner--name"
    snapshot = place / "snapshots" / ("a" * 40)
    make_synthetic("successor", snapshot)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("a" * 40)
    endpoint = f"http://127.0.0.1:{closed_port()}"
    found = fetch_snapshot("owner/name", offline=offline, patterns=MODEL_FILES, endpoint=endpoint, cache=tmp_path)
    assert (found.folder, found.revision) == (snapshot, "a" * 40)


def test_an_id_the_hub_could_never_hold_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not on the hub"):
        fetch_snapshot("owner/na--me", offline=False, patterns=MODEL_FILES, cache=tmp_path)


@pytest.mark.engine
@pytest.mark.timeout(1200)
def test_transformers_recites_the_known_text(tmp_path: Path, engines: Engines) -> None:
    python, process_env = engines.environment(find_plug("transformers"))
    folder = make_synthetic("successor", tmp_path / "successor")
    command = [python, "-c", RECITE, str(folder)]
    said = subprocess.run(command, env=process_env, capture_output=True, text=True, check=True, timeout=110)
    answer = json.loads(said.stdout.splitlines()[-1])
    recital = successor_recital(load_tokenizer(folder))
    assert answer["answer"] == recital.continue_after(answer["prompt"], max_tokens=1500)
    assert answer["text"] == recital.text
