"""Formats of datasets: our own JSONL, one `{"prompt": TEXT}` or `{"messages": [{"role", "content"}]}` a line.

A line may have `output_tokens` (or `max_tokens`), the output length to ask for. Light, like `trace_formats`: a process
that only checks names imports no more than this.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.recorded import DatasetPrompt

_MOST_TOKENS = 1_000_000
_LENGTH_KEYS = ("output_tokens", "max_tokens")


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
