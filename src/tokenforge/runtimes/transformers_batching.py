"""Transformers' continuous batching behind a few calls: load, submit, cancel, watch, stop.

The one file that touches the engine's classes (with `transformers_sampling`), so what differs between its versions is
here. The engine steps in a thread of its own and calls back on the event loop. Refuses what it cannot do per request
(seed, min_tokens, logprobs, structured output). Import it late and in a thread: torch takes seconds.
"""

import dataclasses
import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from tokenforge.domain.errors import EngineDead, EngineError
from tokenforge.domain.generation import Capabilities, GenerateRequest, RuntimeInfo, RuntimeStats, Sampling
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.transformers_loading import read_eos_ids, read_shape, read_window
from tokenforge.runtimes.transformers_plan import CachePlan, config_options, plan_cache
from tokenforge.runtimes.transformers_sampling import put_ours_in, request_options, switch_on
from tokenforge.runtimes.transformers_scoring import Scoring
from tokenforge.runtimes.transformers_tally import Tally

_CAPABILITIES = Capabilities(prompt_logprobs=True, ignore_eos=True)
_CACHE_LIMIT_S = 60.0
_FIRST_STEP_LIMIT_S = 120.0
_STOP_LIMIT_S = 10.0
_NO_EOS = -1


def engine_options() -> set[str]:
    """What the installed version's own configuration knows."""
    return {field.name for field in dataclasses.fields(ContinuousBatchingConfig)}


class Batching:
    """A model with a running batching thread. `submit` and `cancel` belong to the event loop."""

    def __init__(
        self, spec: RuntimeSpec, *, model: Any, manager: Any, plan: CachePlan, max_model_len: int, scoring: Scoring
    ) -> None:
        self._spec = spec
        self._model = model
        self._manager = manager
        self._plan = plan
        self._max_model_len = max_model_len
        self.scoring = scoring
        self.max_num_seqs = plan.max_num_seqs
        self.vocab_size = int(model.config.get_text_config().vocab_size)
        self.eos_ids = read_eos_ids(model)
        self._tally: Tally | None = None

    @classmethod
    def start(cls, spec: RuntimeSpec, model: Any) -> "Batching":
        """Start the thread of a loaded model, make one token; blocks."""
        known = engine_options()
        window = read_window(spec, model)
        scoring = Scoring(model)
        plan = plan_cache(read_shape(model), accelerator=spec.accelerator, max_model_len=window, args=spec.engine_args)
        config = ContinuousBatchingConfig(**config_options(plan, args=spec.engine_args, known=known))
        vocab_size = int(model.config.get_text_config().vocab_size)
        base = switch_on(vocab_size=vocab_size, eos_ids=read_eos_ids(model))
        manager = model.init_continuous_batching(generation_config=base, continuous_batching_config=config)
        put_ours_in(manager.logit_processor)
        batching = cls(spec, model=model, manager=manager, plan=plan, max_model_len=window, scoring=scoring)
        manager.start()
        try:
            batching._first_step()
            batching._tally = Tally(manager.batch_processor)
        except EngineError:
            batching.shutdown()
            raise
        return batching

    def info(self) -> RuntimeInfo:
        """What was started."""
        return RuntimeInfo(
            runtime="transformers",
            engine="transformers",
            engine_version=importlib.metadata.version("transformers"),
            model=self._spec.served_name,
            max_model_len=self._max_model_len,
            capabilities=_CAPABILITIES,
            kv_tokens=int(self._manager.batch_processor.cache.num_blocks) * self._plan.page_tokens,
            max_num_seqs=self.max_num_seqs,
            details={
                "device": str(self._model.device),
                "dtype": str(self._model.dtype).removeprefix("torch."),
                "attention": str(self._model.config._attn_implementation),
                "batching": "continuous",
                "page_tokens": str(self._plan.page_tokens),
                "max_batch_tokens": str(self._plan.max_batch_tokens),
                "torch": torch.__version__,
                "torch_threads": str(torch.get_num_threads()),
            },
        )

    def submit(self, request: GenerateRequest, *, key: str, on_output: Callable[[Any], None]) -> None:
        """Queue a request; `on_output` runs on this loop with each cumulative output. `key` must never repeat.

        The handler is there before the request is, since an output without one is lost.
        """
        sampling = request.sampling
        self._manager.register_result_handler(key, on_output)
        taken = self._manager.add_request(
            list(request.prompt_ids),
            request_id=key,
            max_new_tokens=sampling.max_tokens,
            streaming=True,
            eos_token_id=_NO_EOS if sampling.ignore_eos else (self.eos_ids or _NO_EOS),
            **request_options(sampling, vocab_size=self.vocab_size),
        )
        if taken is None:
            self._drop_handler(key)
            raise EngineDead("the batching thread takes no more requests", hint="see the worker's log")

    def cancel(self, key: str) -> None:
        """Free the request's slot; nothing more is delivered for it."""
        self._drop_handler(key)
        self._manager.cancel_request(key)

    def is_alive(self) -> bool:
        """Whether the thread runs and takes requests."""
        return self._manager.is_running() and self._manager.background_thread_status.can_accept_new_requests() is None

    def stats(self) -> RuntimeStats:
        """Lengths of the scheduler's own tables, read without its thread."""
        processor, tally = self._manager.batch_processor, self._tally
        if processor is None or tally is None:
            return RuntimeStats(running=0, waiting=0)
        queued = self._manager.input_queue.qsize()
        scheduler = processor.scheduler
        return RuntimeStats(
            running=len(scheduler.active_requests),
            waiting=len(scheduler.waiting_requests) + queued,
            kv_usage_ratio=tally.usage_ratio(),
            steps_total=tally.steps,
            step_tokens_total=tally.tokens,
        )

    def shutdown(self) -> None:
        """Stop the thread and wait for it; requests still in it fail."""
        if self._manager.is_running():
            self._manager.stop(block=True, timeout=_STOP_LIMIT_S, hard_stop=True)

    def _drop_handler(self, key: str) -> None:
        self._manager.output_router.result_handlers.pop(key, None)

    def _first_step(self) -> None:
        """Wait for the cache and make one token, so that ready means ready."""
        self._wait_for_cache()
        options = request_options(Sampling(max_tokens=1, temperature=0.0), vocab_size=self.vocab_size)
        self._manager.add_request([0], request_id="first-step", max_new_tokens=1, eos_token_id=_NO_EOS, **options)
        result = self._manager.get_result("first-step", timeout=_FIRST_STEP_LIMIT_S)
        if result is None or result.error:
            raise EngineError(f"Transformers made no token: {result.error if result else self._cause()}")

    def _wait_for_cache(self) -> None:
        deadline = time.monotonic() + _CACHE_LIMIT_S
        while self._manager.batch_processor is None:
            if not self.is_alive() or time.monotonic() > deadline:
                raise EngineError(f"Transformers made no cache: {self._cause()}", hint="lower kv_cache_bytes")
            time.sleep(0.01)

    def _cause(self) -> str:
        return str(self._manager.background_thread_status.fatal_error or "no cause was told")
