"""A user's own prompts: a JSONL file, one `{"prompt": TEXT}` or `{"messages": [{"role", "content"}]}` a line.

A chat is flattened to text, one `role: content` paragraph a message: what is measured is the engine, not a template.
"""

import json
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput, NotFound


def read_dataset(path: Path) -> tuple[str, ...]:
    """The prompts in the file's order. Raises NotFound, or InvalidInput with every bad line."""
    if not path.is_file():
        raise NotFound(f"The dataset {path} does not exist", hint="Set the workload's dataset to a JSONL file")
    prompts: list[str] = []
    faults: list[Fault] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            prompts.append(_prompt(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            message = f"line {number} is not a prompt: {error}"
            faults.append(Fault(field="dataset", value=str(path), message=message))
    if not prompts and not faults:
        faults.append(Fault(field="dataset", value=str(path), message="holds no prompt"))
    if faults:
        raise InvalidInput(faults[:20], source=str(path))
    return tuple(prompts)


def _prompt(row: object) -> str:
    if not isinstance(row, dict):
        raise ValueError("not an object")
    if isinstance(row.get("prompt"), str) and row["prompt"]:
        return str(row["prompt"])
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError('needs "prompt" or "messages"')
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
