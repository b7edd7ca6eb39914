"""Which sequences the next step computes: prefill in chunks and decode take turns; pages are given for a whole answer.

A sequence gets the pages of its prompt and its longest answer when it is admitted, so none is ever put out again; the
price is that fewer run at once where answers end early. Pages that hold the beginning of its prompt already are taken
over, and only the rest is computed. Steps are planned before the last one's tokens are known, so
what ended a step ago may be computed once more, and is then thrown away. Pure: no torch, no clock.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tokenforge.domain.generation import Sampling
from tokenforge.runtimes.paged.plan import pages_for
from tokenforge.runtimes.paged.pool import PagePool


@dataclass(slots=True, eq=False, kw_only=True)
class Sequence:
    """One request. `prefilled` prompt tokens and `planned` answer tokens were given to the device, `tokens` came back.

    `on_output` is called with each `Made`; `slot` and `pages` are its own while it runs, which it does since `began_s`
    (monotonic). `cached` prompt tokens were in pages that it took over.
    """

    key: str
    prompt: tuple[int, ...]
    sampling: Sampling
    eos_ids: frozenset[int]
    on_output: Callable[[Any], None]
    slot: int = -1
    pages: list[int] = field(default_factory=list)
    cached: int = 0
    prefilled: int = 0
    planned: int = 0
    tokens: list[int] = field(default_factory=list)
    began_s: float = -1.0
    is_over: bool = False

    def take(self, token: int) -> bool:
        """Add a token that came back; whether it is the last one."""
        self.tokens.append(token)
        self.is_over = token in self.eos_ids or len(self.tokens) >= self.sampling.max_tokens
        return self.is_over


@dataclass(frozen=True, slots=True)
class Chunk:
    """Prompt tokens `start` to `end` of a sequence; with the last of them its first token is made."""

    sequence: Sequence
    start: int
    end: int

    @property
    def is_first(self) -> bool:
        """Whether the device sees the sequence for the first time."""
        return self.start == self.sequence.cached

    @property
    def is_last(self) -> bool:
        """Whether the prompt ends here."""
        return self.end == len(self.sequence.prompt)


@dataclass(frozen=True, slots=True)
class Prefill:
    """One step over chunks of prompts, packed."""

    chunks: tuple[Chunk, ...]

    @property
    def makers(self) -> tuple[Sequence, ...]:
        """The sequences that get a token from it, in order."""
        return tuple(chunk.sequence for chunk in self.chunks if chunk.is_last)

    @property
    def tokens(self) -> int:
        """Tokens that it computes."""
        return sum(chunk.end - chunk.start for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class Decode:
    """One token more for each sequence."""

    makers: tuple[Sequence, ...]

    @property
    def tokens(self) -> int:
        """Tokens that it computes."""
        return len(self.makers)


class Schedule:
    """Waiting and running sequences, free slots and pages. One thread's own, but for the lengths."""

    def __init__(
        self, *, pages: int, page_tokens: int, batch_tokens: int, max_num_seqs: int, is_sharing: bool = True
    ) -> None:
        self._page_tokens = page_tokens
        self._batch_tokens = batch_tokens
        self._free_slots = list(range(max_num_seqs - 1, -1, -1))
        self._pool = PagePool(pages=pages, page_tokens=page_tokens, is_sharing=is_sharing)
        self._prefill_first = True
        self.prefix_queries = 0
        self.prefix_hits = 0
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    @property
    def usage_ratio(self) -> float:
        """The share of pages that are given away."""
        return self._pool.usage_ratio

    def add(self, sequence: Sequence) -> None:
        """Queue it."""
        self.waiting.append(sequence)

    def next_step(self) -> Prefill | Decode | None:
        """What to compute now, None when all that runs is on its way. A prefill and a decode take turns."""
        first, second = (self._prefill, self._decode) if self._prefill_first else (self._decode, self._prefill)
        step = first() or second()
        self._prefill_first = isinstance(step, Decode)
        return step

    def release(self, sequence: Sequence) -> None:
        """Take back what it holds; it is over, or was cancelled."""
        sequence.is_over = True
        if sequence.slot >= 0:
            self.running.remove(sequence)
            self._free_slots.append(sequence.slot)
            self._pool.note(_computed(sequence), sequence.pages)
            self._pool.give_back(sequence.pages)
            sequence.slot, sequence.pages = -1, []
        elif sequence in self.waiting:
            self.waiting.remove(sequence)

    def _prefill(self) -> Prefill | None:
        room = self._batch_tokens
        chunks: list[Chunk] = []
        for sequence in self.running:
            if room and sequence.prefilled < len(sequence.prompt):
                chunks.append(self._chunk(sequence, room))
                room -= chunks[-1].end - chunks[-1].start
        while room and self.waiting and self._admit(self.waiting[0]):
            chunks.append(self._chunk(self.waiting.popleft(), room))
            room -= chunks[-1].end - chunks[-1].start
        return Prefill(tuple(chunks)) if chunks else None

    def _chunk(self, sequence: Sequence, room: int) -> Chunk:
        start = sequence.prefilled
        sequence.prefilled = min(len(sequence.prompt), start + room)
        self._pool.note(sequence.prompt[: sequence.prefilled], sequence.pages)
        chunk = Chunk(sequence, start, sequence.prefilled)
        sequence.planned += chunk.is_last
        return chunk

    def _admit(self, sequence: Sequence) -> bool:
        if not self._free_slots:
            return False
        needed = pages_for(len(sequence.prompt) + sequence.sampling.max_tokens, self._page_tokens)
        found = self._pool.find(sequence.prompt)
        pages = self._pool.take(needed - len(found), found=found)
        if pages is None:
            return False
        sequence.slot, sequence.pages = self._free_slots.pop(), pages
        sequence.cached = sequence.prefilled = len(found) * self._page_tokens
        self.prefix_queries += len(sequence.prompt)
        self.prefix_hits += sequence.cached
        self.running.append(sequence)
        return True

    def _decode(self) -> Decode | None:
        ready = tuple(
            sequence
            for sequence in self.running
            if sequence.prefilled == len(sequence.prompt) and sequence.planned < sequence.sampling.max_tokens
        )
        for sequence in ready:
            sequence.planned += 1
        return Decode(ready) if ready else None


def _computed(sequence: Sequence) -> tuple[int, ...]:
    """The tokens whose keys and values are in its pages: of an answer all but the last, which no step had read."""
    read = sequence.prompt[: sequence.prefilled]
    return read if len(read) < len(sequence.prompt) else (*read, *sequence.tokens[:-1])
