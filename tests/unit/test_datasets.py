"""A user's own prompts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tokenforge.bench.datasets import read_dataset
from tokenforge.bench.plan import check_workload, plan_trial
from tokenforge.domain.errors import InvalidInput, NotFound
from tokenforge.domain.plan import PromptForm, TrialPlan
from tokenforge.domain.recorded import DatasetPrompt
from tokenforge.domain.workload import Dataset, Fixed, Workload

CHAT = '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}], "max_tokens": 7}'


class Letters:
    """One id per letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


def write(folder: Path, text: str) -> Dataset:
    path = folder / "d.jsonl"
    path.write_text(text)
    return Dataset(path=str(path))


@pytest.fixture
def letters(tmp_path: Path) -> Callable[[int], Dataset]:
    """A dataset of so many prompts of one letter, `a`, `b` and so on."""
    return lambda count: write(tmp_path, "".join(f'{{"prompt": "{chr(97 + n)}"}}\n' for n in range(count)))


def plan(dataset: Dataset, *, requests: int, trial: int = 0, form: PromptForm = PromptForm.TEXT) -> TrialPlan:
    workload = Workload(name="d", qps=10, requests=requests, dataset=dataset)
    return plan_trial(workload, trial=trial, seed=1, tokenizer=Letters(), window=None, form=form)


def texts(plan: TrialPlan) -> str:
    return "".join(request.prompt_text or "?" for request in plan.requests)


def test_texts_and_chats_are_read_in_order(tmp_path: Path) -> None:
    first, second = read_dataset(write(tmp_path, f'{{"prompt": "one"}}\n\n{CHAT}\n'))
    assert first == DatasetPrompt(text="one")
    assert second.messages == (("user", "hi"), ("assistant", "yes"))
    assert second.flat == "user: hi\n\nassistant: yes"


def test_a_line_is_a_line_of_the_file_not_of_the_text(tmp_path: Path) -> None:
    assert read_dataset(write(tmp_path, '{"prompt": "a\u2028b"}\r\n'))[0].text == "a\u2028b"


@pytest.mark.parametrize(
    "line",
    [
        "nothing",
        "[1]",
        '{"text": "x"}',
        '{"prompt": "x", "output_tokens": 0}',
        '{"prompt": "x", "max_tokens": true}',
        '{"messages": [{"role": "user"}]}',
        '{"messages": [{"role": "user", "content": ["x"]}]}',
        '{"messages": ["x"]}',
    ],
)
def test_every_bad_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidInput, match=r"(?s)line 1 is not a prompt.*line 3 is not a prompt"):
        read_dataset(write(tmp_path, f'{line}\n{{"prompt": "ok"}}\n{line}\n'))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no prompt"):
        read_dataset(write(tmp_path, "\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.jsonl"):
        read_dataset(Dataset(path=str(tmp_path / "none.jsonl")))


def test_a_plan_goes_through_the_prompts_again_when_they_run_out(letters: Callable[[int], Dataset]) -> None:
    assert texts(plan(letters(2), requests=5)) in {"ababa", "babab"}


def test_no_two_trials_share_a_prompt_while_the_dataset_lasts(letters: Callable[[int], Dataset]) -> None:
    used = [texts(plan(letters(26), requests=5, trial=trial)) for trial in range(5)]
    assert len(set("".join(used))) == 25


def test_the_plan_says_where_in_the_dataset_a_trial_begins(letters: Callable[[int], Dataset]) -> None:
    one = plan(letters(26), requests=3)
    row = "abcdefghijklmnopqrstuvwxyz".index(texts(one)[0]) + 1
    assert f"row {row} of the dataset's 26" in one.notes[0]


def test_a_chat_travels_as_its_messages_only_to_the_chat_endpoint(tmp_path: Path) -> None:
    dataset = write(tmp_path, CHAT)
    (chat,) = plan(dataset, requests=1, form=PromptForm.MESSAGES).requests
    (text,) = plan(dataset, requests=1).requests
    assert chat.messages == (("user", "hi"), ("assistant", "yes"))
    assert (chat.prompt_text, chat.prompt_tokens) == (None, 5)
    assert (text.messages, text.prompt_text) == (None, "user: hi\n\nassistant: yes")


def test_a_row_may_say_how_long_its_output_is(tmp_path: Path) -> None:
    dataset = write(tmp_path, f'{{"prompt": "a"}}\n{CHAT}\n')
    assert {request.gen_tokens for request in plan(dataset, requests=2).requests} == {7, 128}


def test_prompts_too_long_for_the_window_are_found_before_anything_starts(tmp_path: Path) -> None:
    dataset = write(tmp_path, f'{{"prompt": "{"a" * 90}"}}\n{{"prompt": "b"}}\n')
    workload = Workload(name="d", qps=1, requests=1, dataset=dataset, gen_tokens=Fixed(value=20))
    check_workload(workload, seed=1, window=110, tokenizer=Letters())
    with pytest.raises(InvalidInput, match=r"1 of 2 prompts .* longest is prompt 1: a request of 110 tokens"):
        check_workload(workload, seed=1, window=109, tokenizer=Letters())
