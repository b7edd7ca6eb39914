"""What does not fit a model's window is refused with the numbers, before an engine starts; nothing is cut in silence.

Distributions are asked what they may come to, not what one seed drew: a later trial must not be refused midway.
"""

from collections.abc import Sequence

from tokenforge.bench.lengths import longest_tokens
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.recorded import DatasetPrompt
from tokenforge.domain.workload import Workload

_MODEL_HINT = "or raise max_model_len if the model can"


def check_lengths(workload: Workload, window: int | None) -> None:
    """Refuse lengths whose longest request, the last turn of a conversation, may not fit `window` tokens."""
    if window is None or workload.dataset is not None:
        return
    prompt, output = longest_tokens(workload.prompt_len), longest_tokens(workload.gen_tokens)
    turns = 1 if workload.turns is None else longest_tokens(workload.turns)
    longest = turns * (prompt + output)
    if longest <= window:
        return
    field, value, what = "prompt_len + gen_tokens", f"{prompt} + {output}", "a request"
    hint = f"lower prompt_len or gen_tokens (the `high` of a distribution), {_MODEL_HINT}"
    if turns > 1:
        field, value, what = f"turns x ({field})", f"{turns} x ({value})", "the last turn of a conversation"
        hint = f"lower turns, prompt_len or gen_tokens (the `high` of a distribution), {_MODEL_HINT}"
    raise _too_long(f"{workload.name}: {field}", value, longest, window, what=what, hint=hint)


def check_dataset(
    workload: Workload, rows: Sequence[DatasetPrompt], *, window: int | None, tokenizer: PromptTokenizer | None
) -> None:
    """Refuse a dataset in which a prompt and its output do not fit `window` tokens, naming the longest."""
    if window is None or tokenizer is None:
        return
    most = longest_tokens(workload.gen_tokens)
    lengths = [
        (_tokens_over(row, window - (row.output_tokens or most), tokenizer), row.output_tokens or most, number)
        for number, row in enumerate(rows, start=1)
    ]
    over = [length for length in lengths if length[0]]
    if over:
        prompt, output, number = max(over)
        what = f"{len(over):,} of {len(rows):,} prompts are too long; the longest is prompt {number}: a request"
        hint = f"leave them out, lower gen_tokens or the row's output_tokens, {_MODEL_HINT}"
        field = f"{workload.name}: dataset"
        raise _too_long(field, f"{prompt} + {output}", prompt + output, window, what=what, hint=hint)


def _tokens_over(row: DatasetPrompt, room: int, tokenizer: PromptTokenizer) -> int:
    """The prompt's tokens if they are more than `room`, else 0. No token is shorter than a byte, so few are counted."""
    text = row.flat
    if len(text.encode()) <= room:
        return 0
    tokens = len(tokenizer.encode(text))
    return tokens if tokens > room else 0


def _too_long(field: str, value: str, longest: int, window: int, *, what: str, hint: str) -> InvalidInput:
    message = f"{what} of {longest} tokens does not fit the model's window of {window}"
    return InvalidInput([Fault(field=field, value=value, message=message, hint=hint)])
