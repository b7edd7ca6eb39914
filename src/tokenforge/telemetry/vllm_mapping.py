"""vLLM's metrics in our words, and a page of vLLM's turned into ours.

`MAPPED` says which of ours says the same as which of theirs. Inside a worker our numbers come from vLLM's statistics
and from the requests as they pass, so a worker's page has both and they can be compared; of a server elsewhere there
is only its page, and `translate` reads that. Histograms of time are not translated: vLLM's buckets are too wide.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from tokenforge.telemetry.catalogue import engine, serving
from tokenforge.telemetry.catalogue.definition import Metric
from tokenforge.telemetry.instruments import family_of, summary_of

MAPPED: dict[str, Metric] = {
    "vllm:num_requests_running": engine.RUNNING,
    "vllm:num_requests_waiting": engine.WAITING,
    "vllm:kv_cache_usage_perc": engine.KV_USAGE,
    "vllm:prefix_cache_queries_total": engine.PREFIX_QUERIES,
    "vllm:prefix_cache_hits_total": engine.PREFIX_HITS,
    "vllm:num_preemptions_total": engine.PREEMPTIONS,
    "vllm:iteration_tokens_total": engine.BATCH_TOKENS,
    "vllm:prompt_tokens_total": serving.PROMPT_TOKENS,
    "vllm:generation_tokens_total": serving.GENERATION_TOKENS,
    "vllm:request_success_total": serving.FINISHED,
    "vllm:request_prompt_tokens": serving.REQUEST_PROMPT_TOKENS,
    "vllm:request_generation_tokens": serving.REQUEST_GENERATION_TOKENS,
    "vllm:time_to_first_token_seconds": serving.TIME_TO_FIRST_TOKEN,
    "vllm:inter_token_latency_seconds": serving.INTER_TOKEN_LATENCY,
    "vllm:request_time_per_output_token_seconds": serving.TIME_PER_OUTPUT_TOKEN,
    "vllm:e2e_request_latency_seconds": serving.DURATION,
    "vllm:request_queue_time_seconds": serving.PHASE,
    "vllm:request_prefill_time_seconds": serving.PHASE,
    "vllm:request_decode_time_seconds": serving.PHASE,
}
"""Theirs, as queried, and ours."""

_FINISHED = {"stop": "stop", "length": "length", "abort": "abort", "error": "error", "repetition": "stop"}
_PLAIN = (
    "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
    "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total", "vllm:num_preemptions_total",
    "vllm:generation_tokens_total",
)  # fmt: skip


def translate(page: str) -> Iterator[Family]:
    """The metrics of a vLLM server's page under our names; several engines of one server are added up."""
    samples = list(_samples(page))
    for theirs in _PLAIN:
        values = [value for name, _, value in samples if name == theirs]
        if values:
            yield family_of(MAPPED[theirs], {(): sum(values)})
    finished: dict[tuple[str, ...], float] = {}
    for name, labels, value in samples:
        reason = _FINISHED.get(labels.get("finished_reason", ""))
        if name == "vllm:request_success_total" and reason is not None:
            finished[reason,] = finished.get((reason,), 0.0) + value
    if finished:
        yield family_of(serving.FINISHED, finished)
    yield from _prompt_tokens(samples)
    steps = [value for name, _, value in samples if name == "vllm:iteration_tokens_total_count"]
    tokens = [value for name, _, value in samples if name == "vllm:iteration_tokens_total_sum"]
    if steps and tokens:
        yield summary_of(engine.BATCH_TOKENS, count=int(sum(steps)), total=sum(tokens))


def _prompt_tokens(samples: Iterable[tuple[str, dict[str, str], float]]) -> Iterator[Family]:
    """All prompt tokens, apart by whether they were cached where the server says so."""
    total = [value for name, _, value in samples if name == "vllm:prompt_tokens_total"]
    cached = [value for name, _, value in samples if name == "vllm:prompt_tokens_cached_total"]
    if not total:
        return
    if not cached:
        yield family_of(serving.PROMPT_TOKENS, {("untold",): sum(total)})
        return
    yield family_of(serving.PROMPT_TOKENS, {("computed",): sum(total) - sum(cached), ("cached",): sum(cached)})


def _samples(page: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(page):
        if family.name.startswith("vllm:"):
            for sample in family.samples:
                yield sample.name, dict(sample.labels), float(sample.value)
