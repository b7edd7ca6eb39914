"""A user's own prompts."""

from pathlib import Path

import pytest

from tokenforge.bench.datasets import read_dataset
from tokenforge.bench.plan import plan_trial
from tokenforge.domain.errors import InvalidInput, NotFound
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.workload import Workload


def write(folder: Path, text: str) -> Path:
    path = folder / "d.jsonl"
    path.write_text(text)
    return path


def test_texts_and_chats_are_read_in_order(tmp_path: Path) -> None:
    chat = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]}'
    assert read_dataset(write(tmp_path, f'{{"prompt": "one"}}\n\n{chat}\n')) == ("one", "user: Hi\n\nassistant: Yes?")


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"(?s)line 1 .*line 3"):
        read_dataset(write(tmp_path, 'nothing\n{"prompt": "ok"}\n{"text": "x"}\n'))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no prompt"):
        read_dataset(write(tmp_path, "\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.jsonl"):
        read_dataset(tmp_path / "none.jsonl")


def test_a_plan_goes_through_the_prompts_again_when_they_run_out(tmp_path: Path) -> None:
    path = write(tmp_path, '{"prompt": "a"}\n{"prompt": "b"}\n')
    workload = Workload(name="d", qps=10, requests=5, dataset=str(path))
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=None, window=None, form=PromptForm.TEXT)
    assert [request.prompt_text for request in plan.requests] == ["a", "b", "a", "b", "a"]
