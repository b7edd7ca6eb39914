"""Two loaders, made to be copied. Each is a function of a path that yields rows; TokenForge finds it by entry point.

Raise any exception for what can't be read: the user is told its words and the file.
"""

from collections.abc import Iterator
from pathlib import Path

from tokenforge.domain.recorded import DatasetPrompt, TraceRow


def trace_rows(path: Path) -> Iterator[TraceRow]:
    """`SECONDS PROMPT_TOKENS OUTPUT_TOKENS` a line; no output tokens: the request failed and is not replayed."""
    for line in path.read_text().splitlines():
        at_s, prompt, output = line.split()
        yield TraceRow(at_ns=round(float(at_s) * 1e9), prompt_tokens=int(prompt), output_tokens=int(output))


def prompts(path: Path) -> Iterator[DatasetPrompt]:
    """A prompt a line."""
    for line in path.read_text().splitlines():
        yield DatasetPrompt(text=line)
