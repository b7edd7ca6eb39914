"""A user's own prompts, as they travel.

On the chat endpoint a chat is sent as its messages; elsewhere as one text, a `role: content` paragraph a message: no
template is guessed.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

from tokenforge.bench.chance import derived_seed
from tokenforge.bench.dataset_formats import DATASET_LOADERS
from tokenforge.bench.loaders import DATASETS, find_loader, load_rows
from tokenforge.bench.prompt import Prompt
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.domain.errors import Fault, InvalidInput, NotFound
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.recorded import DatasetPrompt
from tokenforge.domain.workload import Dataset


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


def _prompt(row: DatasetPrompt, *, tokenizer: PromptTokenizer | None, form: PromptForm) -> Prompt:
    if form is PromptForm.MESSAGES and row.messages is not None:
        contents = [content for _, content in row.messages]
        tokens = None if tokenizer is None else sum(len(tokenizer.encode(content)) for content in contents)
        return Prompt(messages=row.messages, tokens=tokens)
    if tokenizer is None:
        return Prompt(text=row.flat)
    ids = tuple(tokenizer.encode(row.flat))
    return Prompt(ids=ids, tokens=len(ids)) if form is PromptForm.TOKEN_IDS else Prompt(text=row.flat, tokens=len(ids))
