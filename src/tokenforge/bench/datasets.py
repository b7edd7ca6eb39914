"""A user's own prompts: a JSONL file, one `{"prompt": TEXT}` or `{"messages": [{"role", "content"}]}` a line.

A line may have `output_tokens` (or `max_tokens`), the output length to ask for. On the chat endpoint a chat is sent as
its messages; elsewhere as one text, a `role: content` paragraph a message: no template is guessed.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

from tokenforge.bench.chance import derived_seed
from tokenforge.bench.loaders import DATASETS, find_loader, load_rows
from tokenforge.bench.prompt import Prompt
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.domain.errors import Fault, InvalidInput, NotFound
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.recorded import DatasetPrompt
from tokenforge.domain.workload import Dataset

_MOST_TOKENS = 1_000_000
_LENGTH_KEYS = ("output_tokens", "max_tokens")


def read_dataset(dataset: Dataset, *, points: Iterable[EntryPoint] | None = None) -> tuple[DatasetPrompt, ...]:
    """The prompts in the file's order. Raises NotFound, or InvalidInput with every bad line."""
    path = Path(dataset.path)
    loader = find_loader(DATASETS, dataset.format, DATASET_LOADERS, field="dataset.format", points=points)
    if not path.is_file():
        raise NotFound(f"The dataset {path} does not exist", hint="Set the workload's dataset to a JSONL file")
    prompts = tuple(load_rows(loader, path, kind=DatasetPrompt, field="dataset"))
    if not prompts:
        raise InvalidInput([Fault(field="dataset", value=str(path), message="holds no prompt")])
    return prompts


def first_place(rows: int, *, seed: int, name: str, trial: int, stride: int) -> int:
    """Where a trial begins in a dataset of `rows`: a place drawn by the seed, and `stride` further for each trial.

    So trials share no prompt while the dataset lasts; a prefix cache that remembers the last trial finds nothing.
    """
    return (derived_seed(seed, name, "dataset") + trial * stride) % rows


def dataset_prompts(
    rows: Sequence[DatasetPrompt], *, tokenizer: PromptTokenizer | None, form: PromptForm
) -> list[Prompt]:
    """Each row in the form in which it travels; a row met again is not counted again."""
    made: dict[DatasetPrompt, Prompt] = {}
    for row in rows:
        if row not in made:
            made[row] = _prompt(row, tokenizer=tokenizer, form=form)
    return [made[row] for row in rows]


def jsonl_prompts(path: Path) -> list[DatasetPrompt]:
    """Our own format. Raises InvalidInput with the first twenty bad lines."""
    prompts: list[DatasetPrompt] = []
    faults: list[Fault] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            prompts.append(_row(json.loads(line)))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            cause = f"a message lacks {error}" if isinstance(error, KeyError) else str(error)
            message = f"line {number} is not a prompt: {cause}"
            faults.append(Fault(field="dataset", value=str(path), message=message))
    if faults:
        raise InvalidInput(faults[:20], source=str(path))
    return prompts


DATASET_LOADERS: Mapping[str, Callable[[Path], Iterable[DatasetPrompt]]] = {"jsonl": jsonl_prompts}


def _prompt(row: DatasetPrompt, *, tokenizer: PromptTokenizer | None, form: PromptForm) -> Prompt:
    if form is PromptForm.MESSAGES and row.messages is not None:
        contents = [content for _, content in row.messages]
        tokens = None if tokenizer is None else sum(len(tokenizer.encode(content)) for content in contents)
        return Prompt(messages=row.messages, tokens=tokens)
    if tokenizer is None:
        return Prompt(text=row.flat)
    ids = tuple(tokenizer.encode(row.flat))
    return Prompt(ids=ids, tokens=len(ids)) if form is PromptForm.TOKEN_IDS else Prompt(text=row.flat, tokens=len(ids))


def _row(row: object) -> DatasetPrompt:
    if not isinstance(row, dict):
        raise ValueError("not an object")
    output = next((row[key] for key in _LENGTH_KEYS if row.get(key) is not None), None)
    if output is not None and (type(output) is not int or not 0 < output <= _MOST_TOKENS):
        raise ValueError(f"output_tokens = {output!r} must be a whole number from 1 to {_MOST_TOKENS:,}")
    if isinstance(row.get("prompt"), str) and row["prompt"]:
        return DatasetPrompt(text=row["prompt"], output_tokens=output)
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError('needs "prompt" or "messages"')
    return DatasetPrompt(messages=tuple(_message(message) for message in messages), output_tokens=output)


def _message(message: object) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ValueError("a message is not an object")
    role, content = message["role"], message["content"]
    if not isinstance(role, str) or not isinstance(content, str):
        raise ValueError("role and content of a message must be text")
    return role, content
