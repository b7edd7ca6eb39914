"""The thread that steps: takes requests, keeps one step under way while it hands out the last one's tokens.

The loop's thread only queues; the stepping thread crosses into the loop once a step with everything made in it. A step
that fails ends the engine: every stream is told, and no more is taken.
"""

import asyncio
import importlib.metadata
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tokenforge.domain.errors import EngineDead
from tokenforge.domain.generation import Capabilities, GenerateRequest, RuntimeInfo, RuntimeStats
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.paged.engine import Engine
from tokenforge.runtimes.paged.runner import Flight
from tokenforge.runtimes.paged.schedule import Prefill, Sequence
from tokenforge.runtimes.transformers_scoring import Scoring

_log = logging.getLogger(__name__)
_CAPABILITIES = Capabilities(prompt_logprobs=True, ignore_eos=True)
_STOP_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Made:
    """A sequence's tokens so far (the list grows on), and whether it had ended when this was said."""

    generated_tokens: list[int]
    is_last: bool
    began_s: float
    error: str | None = None
    cached_tokens: int = 0

    @property
    def lifespan(self) -> tuple[float, float]:
        """When it was taken from the queue (monotonic seconds), and -1: its end is told by `is_finished`."""
        return self.began_s, -1.0

    def is_finished(self) -> bool:
        """Whether no more will come."""
        return self.is_last


class PagedBatching:
    """A model with a running step thread. `submit` and `cancel` belong to the event loop."""

    def __init__(
        self, spec: RuntimeSpec, *, model: Any, engine: Engine, scoring: Scoring, vocab_size: int, eos_ids: list[int]
    ) -> None:
        self._spec = spec
        self._model = model
        self._engine = engine
        self._schedule = engine.schedule
        self._inbox: queue.SimpleQueue[Sequence | str | None] = queue.SimpleQueue()
        self._known: dict[str, Sequence] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fatal: str | None = None
        self._steps = 0
        self._step_tokens = 0
        self._is_stopping = False
        self.scoring = scoring
        self.max_num_seqs = engine.plan.max_num_seqs
        self.vocab_size = vocab_size
        self.eos_ids = eos_ids
        self._thread = threading.Thread(target=self._run, name="paged-steps", daemon=True)
        self._thread.start()

    def info(self) -> RuntimeInfo:
        """What was started."""
        plan = self._engine.plan
        return RuntimeInfo(
            runtime="transformers",
            engine="transformers",
            engine_version=importlib.metadata.version("transformers"),
            model=self._spec.served_name,
            max_model_len=plan.max_model_len,
            capabilities=_CAPABILITIES,
            kv_tokens=self._engine.pages * plan.page_tokens,
            max_num_seqs=self.max_num_seqs,
            details={
                "device": str(self._model.device),
                "dtype": str(self._model.dtype).removeprefix("torch."),
                "batching": "paged",
                "page_tokens": str(plan.page_tokens),
                "max_batch_tokens": str(plan.batch_tokens),
                "torch": torch.__version__,
                "torch_threads": str(torch.get_num_threads()),
                **self._engine.details,
            },
        )

    def submit(self, request: GenerateRequest, *, key: str, on_output: Callable[[Any], None]) -> None:
        """Queue a request; `on_output` runs on this loop with each `Made`. `key` must never repeat."""
        if not self.is_alive():
            raise EngineDead("the step thread takes no more requests", hint="see the worker's log")
        self._loop = asyncio.get_running_loop()
        sampling = request.sampling
        eos_ids = frozenset() if sampling.ignore_eos else frozenset(self.eos_ids)
        self._inbox.put(
            Sequence(key=key, prompt=request.prompt_ids, sampling=sampling, eos_ids=eos_ids, on_output=on_output)
        )

    def cancel(self, key: str) -> None:
        """Free the request's slot; nothing more is delivered for it."""
        self._inbox.put(key)

    def is_alive(self) -> bool:
        """Whether the thread runs and takes requests."""
        return self._fatal is None and not self._is_stopping and self._thread.is_alive()

    def stats(self) -> RuntimeStats:
        """Lengths of the schedule's own tables, read without its thread."""
        schedule = self._schedule
        return RuntimeStats(
            running=len(schedule.running),
            waiting=len(schedule.waiting) + self._inbox.qsize(),
            kv_usage_ratio=schedule.usage_ratio,
            prefix_queries=schedule.prefix_queries,
            prefix_hits=schedule.prefix_hits,
            steps_total=self._steps,
            step_tokens_total=self._step_tokens,
        )

    def shutdown(self) -> None:
        """Stop the thread and wait for it."""
        self._is_stopping = True
        self._inbox.put(None)
        self._thread.join(_STOP_LIMIT_S)

    def _run(self) -> None:
        try:
            self._step_on()
        except Exception as error:  # noqa: BLE001 - a step may fail in any way, and every stream must hear of it
            _log.exception("a step failed")
            self._fatal = f"{type(error).__name__}: {error}"
            self._tell([(s, Made(s.tokens, True, s.began_s, error=self._fatal)) for s in self._known.values()])

    def _step_on(self) -> None:
        """Plan, launch, and hand out what the step before made, while this one runs."""
        under_way: Flight | None = None
        while not self._is_stopping:
            idle = under_way is None and not self._known
            self._take_in(wait=idle)
            step = self._schedule.next_step()
            if isinstance(step, Prefill):
                _note_beginnings(step)
            launched = None if step is None else self._engine.runner.launch(step)
            if step is not None:
                self._steps += 1
                self._step_tokens += step.tokens
            if under_way is not None:
                self._hand_out(under_way)
            under_way = launched

    def _take_in(self, *, wait: bool) -> None:
        """Everything in the inbox; with `wait`, at least one."""
        while wait or not self._inbox.empty():
            wait = False
            said = self._inbox.get()
            if isinstance(said, Sequence):
                self._known[said.key] = said
                self._schedule.add(said)
            elif said is not None and (sequence := self._known.pop(said, None)) is not None:
                self._schedule.release(sequence)

    def _hand_out(self, flight: Flight) -> None:
        made: list[tuple[Sequence, Made]] = []
        for sequence, token in zip(flight.makers, flight.wait(), strict=True):
            if sequence.is_over:
                continue
            is_last = sequence.take(token)
            told = Made(sequence.tokens, is_last, sequence.began_s, cached_tokens=sequence.cached)
            made.append((sequence, told))
            if is_last:
                self._schedule.release(sequence)
                del self._known[sequence.key]
        self._tell(made)

    def _tell(self, made: list[tuple[Sequence, Made]]) -> None:
        loop = self._loop
        if made and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, made)


def _note_beginnings(step: Prefill) -> None:
    now = time.monotonic()
    for chunk in step.chunks:
        if chunk.is_first:
            chunk.sequence.began_s = now


def _deliver(made: list[tuple[Sequence, Made]]) -> None:
    for sequence, output in made:
        sequence.on_output(output)
