"""Recorded loads as rows: what a loader of a trace or of a dataset yields, ours and any plug-in's alike."""

from dataclasses import dataclass

BLOCK_TOKENS = 512
"""Tokens of a prompt block in a trace that names its blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """One recorded request: ns on any one clock, tokens in and out, and ids of its prompt's blocks where known.

    No output tokens means that the recorded request failed: it is not replayed, and the plan says how many were so.
    Equal block ids become equal tokens, 512 a block.
    """

    at_ns: int
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPrompt:
    """One prompt of a dataset: a `text`, or the `messages` of a chat as (role, content); exactly one of the two.

    `output_tokens` is the output length to ask for; None: the workload's `gen_tokens` says.
    """

    text: str | None = None
    messages: tuple[tuple[str, str], ...] | None = None
    output_tokens: int | None = None

    @property
    def flat(self) -> str:
        """The prompt as one text; a chat has one `role: content` paragraph a message."""
        if self.messages is None:
            return self.text or ""
        return "\n\n".join(f"{role}: {content}" for role, content in self.messages)
