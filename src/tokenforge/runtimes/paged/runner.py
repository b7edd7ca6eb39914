"""Run planned steps on the device: pack, forward, choose tokens, and copy them back without waiting.

What a sequence needs between steps (its last token, its length, its pages, its sampling) stays on the device in rows,
one a slot; a decode step over the same sequences as the last one sends nothing there. A decode step is one CUDA graph
for the batch size at or above its own; the rows that pad it write into page 0, which no sequence has.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from tokenforge.runtimes.paged.attention import DecodeStep, Pages, PrefillStep
from tokenforge.runtimes.paged.captured import PREFILL_TOKENS, PROMPTS, Captured, Ints, PaddedPrefill
from tokenforge.runtimes.paged.plan import PagedPlan, graph_sizes
from tokenforge.runtimes.paged.sampling import choose
from tokenforge.runtimes.paged.schedule import Chunk, Decode, Prefill, Sequence


@dataclass(frozen=True, slots=True)
class Flight:
    """A step under way: who gets a token, and where the tokens will be once `landed` has happened (None: now)."""

    makers: tuple[Sequence, ...]
    tokens: torch.Tensor
    landed: Any

    def wait(self) -> list[int]:
        """The tokens, one a maker; blocks without holding Python's lock."""
        if self.landed is not None:
            self.landed.synchronize()
        return [int(token) for token in self.tokens.tolist()]


class Runner:
    """One model's steps. Belongs to one thread at a time."""

    def __init__(self, model: Any, pages: Pages, plan: PagedPlan) -> None:
        self._model = model
        self._pages = pages
        self._plan = plan
        self._device = model.device
        self._vocab_size = int(model.config.get_text_config().vocab_size)
        rows = plan.max_num_seqs + 1
        self._pad = plan.max_num_seqs
        self._tokens = self._zeros(rows, torch.int64)
        self._lengths = self._zeros(rows, torch.int32)
        self._table = torch.zeros((rows, plan.pages_per_seq), dtype=torch.int32, device=self._device)
        self._temperature = self._zeros(rows, torch.float32)
        self._top_k = self._zeros(rows, torch.int32)
        self._top_p = self._zeros(rows, torch.float32)
        self._slots = self._zeros(rows, torch.int64)
        self._slots_now: tuple[int, ...] = ()
        self._decodes: dict[int, Captured] = {}
        self._prefills: list[tuple[PaddedPrefill, Captured]] = []

    @property
    def captured(self) -> tuple[int, int]:
        """How many decode and prefill sizes are captured."""
        return len(self._decodes), len(self._prefills)

    def launch(self, step: Prefill | Decode) -> Flight:
        """Start a step; returns before it is done."""
        with torch.no_grad():
            return self._prefill(step) if isinstance(step, Prefill) else self._decode(step.makers)

    def capture(self) -> None:
        """Capture steps of fixed sizes, the largest first so that the others fit into its memory."""
        pool = None
        self._slots.fill_(self._pad)
        self._slots_now = ()
        can = self._plan.captures_prefill and self._pages.kernels.captures_prefill
        sizes = PREFILL_TOKENS if can else ()
        for tokens in reversed([size for size in sizes if size <= self._plan.batch_tokens]):
            padded = PaddedPrefill(tokens, device=self._device)
            captured = Captured(partial(self._padded_logits, padded), pool=pool)
            pool = captured.pool
            self._prefills.insert(0, (padded, captured))
        for size in reversed(graph_sizes(self._plan.max_num_seqs)):
            self._decodes[size] = Captured(partial(self._decode_logits, size), pool=pool)
            pool = self._decodes[size].pool

    def _prefill(self, step: Prefill) -> Flight:
        self._enter([chunk.sequence for chunk in step.chunks if chunk.is_first])
        packed, ends, last = self._packed(step.chunks)
        makers = step.makers
        if (fitting := self._fitting(step)) is not None:
            padded, captured = fitting
            padded.fill(packed, ends, last, sent=self._sent)
            logits = captured.replay()[: len(makers)]
        else:
            ids, positions, places = self._sent(packed).unbind(0)
            self._pages.step = self._prefill_step(step.chunks, places)
            logits = self._forward(ids, positions, keep=self._sent(last))
        if not makers:
            return Flight((), torch.empty(0, dtype=torch.int64), None)
        slots = self._sent(np.array([sequence.slot for sequence in makers], dtype=np.int64))
        lengths = self._sent(np.array([len(sequence.prompt) for sequence in makers], dtype=np.int32))
        return self._choose(makers, logits, slots, lengths)

    def _fitting(self, step: Prefill) -> tuple[PaddedPrefill, Captured] | None:
        """The smallest captured prefill that holds the step, if one does."""
        if len(step.chunks) > PROMPTS or any(chunk.start for chunk in step.chunks):
            return None
        tokens = sum(chunk.end for chunk in step.chunks)
        return next((pair for pair in self._prefills if pair[0].tokens >= tokens), None)

    def _padded_logits(self, padded: PaddedPrefill) -> torch.Tensor:
        self._pages.step = padded.step()
        return self._forward(padded.ids, padded.positions, keep=padded.last)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, *, keep: torch.Tensor | int = 0) -> torch.Tensor:
        """Logits [kept tokens, vocabulary] of packed tokens; 0 keeps all."""
        logits: torch.Tensor = self._model(
            input_ids=ids.unsqueeze(0), position_ids=positions.unsqueeze(0), use_cache=False, logits_to_keep=keep
        ).logits[0]
        return logits

    def _decode(self, makers: tuple[Sequence, ...]) -> Flight:
        size = self._graph_size(len(makers))
        slots_now = tuple(sequence.slot for sequence in makers)
        if slots_now != self._slots_now:
            padded = np.full(len(self._slots), self._pad, dtype=np.int64)
            padded[: len(slots_now)] = slots_now
            self._slots.copy_(self._sent(padded))
            self._slots_now = slots_now
        captured = self._decodes.get(size)
        logits = captured.replay() if captured is not None else self._decode_logits(size)
        slots = self._slots[: len(makers)]
        return self._choose(makers, logits[: len(makers)], slots, self._lengths[slots] + 1)

    def _decode_logits(self, size: int) -> torch.Tensor:
        """Logits [size, vocabulary] of the next token in the first `size` of the rows that `_slots` names."""
        slots = self._slots[:size]
        at = self._lengths[slots].long()
        page = self._table[slots, at // self._plan.page_tokens].long()
        self._pages.step = DecodeStep(
            slots=slots,
            lengths=(at + 1).int(),
            table=self._table,
            places=page * self._plan.page_tokens + at % self._plan.page_tokens,
        )
        return self._forward(self._tokens[slots], at)

    def _choose(
        self, makers: tuple[Sequence, ...], logits: torch.Tensor, slots: torch.Tensor, lengths: torch.Tensor
    ) -> Flight:
        samplings = [sequence.sampling for sequence in makers]
        if all(sampling.temperature <= 0 for sampling in samplings):
            chosen = logits.argmax(dim=-1)
        else:
            chosen = choose(
                logits,
                temperature=self._temperature[slots],
                top_k=self._top_k[slots],
                top_p=self._top_p[slots],
                cuts=any(sampling.top_k or sampling.top_p < 1 for sampling in samplings),
            )
        self._tokens.index_copy_(0, slots, chosen)
        self._lengths.index_copy_(0, slots, lengths)
        if self._device.type != "cuda":
            return Flight(makers, chosen, None)
        host = torch.empty(len(makers), dtype=torch.int64, pin_memory=True)
        host.copy_(chosen, non_blocking=True)
        landed = torch.cuda.Event()
        landed.record()
        return Flight(makers, host, landed)

    def _enter(self, sequences: list[Sequence]) -> None:
        """Fill the rows of sequences that begin."""
        if not sequences:
            return
        table = np.zeros((len(sequences), self._plan.pages_per_seq), dtype=np.int32)
        for row, sequence in enumerate(sequences):
            table[row, : len(sequence.pages)] = sequence.pages
        slots = self._sent(np.array([sequence.slot for sequence in sequences], dtype=np.int64))
        vocab = self._vocab_size
        samplings = [sequence.sampling for sequence in sequences]
        self._table.index_copy_(0, slots, self._sent(table))
        for target, said in (
            (self._temperature, np.array([s.temperature for s in samplings], dtype=np.float32)),
            (self._top_k, np.array([min(s.top_k or vocab, vocab) for s in samplings], dtype=np.int32)),
            (self._top_p, np.array([s.top_p for s in samplings], dtype=np.float32)),
        ):
            target.index_copy_(0, slots, self._sent(said))

    def _packed(self, chunks: Many[Chunk]) -> tuple[Ints, Ints, Ints]:
        """Ids, positions and places in the pages [3, tokens]; where each chunk ends; where each prompt's last token is.

        Without a last token of any prompt, that of the last chunk stands in, and what it makes is not used.
        """
        positions = [np.arange(chunk.start, chunk.end) for chunk in chunks]
        ids = [np.asarray(chunk.sequence.prompt[chunk.start : chunk.end]) for chunk in chunks]
        places = [self._places(chunk.sequence)[at] for chunk, at in zip(chunks, positions, strict=True)]
        packed = np.stack([np.concatenate(parts) for parts in (ids, positions, places)]).astype(np.int64)
        ends = np.cumsum([chunk.end - chunk.start for chunk in chunks])
        last = [end - 1 for end, chunk in zip(ends, chunks, strict=True) if chunk.is_last] or [ends[-1] - 1]
        return packed, ends, np.array(last, dtype=np.int64)

    def _prefill_step(self, chunks: Many[Chunk], places: torch.Tensor) -> PrefillStep:
        queries = [chunk.end - chunk.start for chunk in chunks]
        keys = [chunk.end for chunk in chunks]
        read = None
        if any(chunk.start for chunk in chunks):
            read = self._sent(np.concatenate([self._places(c.sequence)[: c.end] for c in chunks]))
        ends = self._sent(np.stack([np.cumsum([0, *queries]), np.cumsum([0, *keys])]).astype(np.int32))
        return PrefillStep(
            places=places,
            query_ends=ends[0],
            key_ends=ends[1],
            most_queries=max(queries),
            most_keys=max(keys),
            read=read,
        )

    def _places(self, sequence: Sequence) -> Ints:
        """Where each of its tokens lies in the pages."""
        page = self._plan.page_tokens
        return (np.asarray(sequence.pages, dtype=np.int64)[:, None] * page + np.arange(page)).ravel()

    def _graph_size(self, rows: int) -> int:
        return min((size for size in self._decodes if size >= rows), default=rows)

    def _sent(self, values: "np.ndarray[Any, Any]") -> torch.Tensor:
        """A copy on the device, under way."""
        here = torch.from_numpy(values)
        return here if self._device.type != "cuda" else here.pin_memory().to(self._device, non_blocking=True)

    def _zeros(self, rows: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(rows, dtype=dtype, device=self._device)
