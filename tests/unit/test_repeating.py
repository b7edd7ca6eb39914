"""A recorded benchmark, read back and made ready to run again."""

import json
from pathlib import Path

import pytest

from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.bench.rebuilding import check_spec, read_benchmark
from tokenforge.bench.repeating import repeatable
from tokenforge.domain.benchmark import Benchmark, without_secrets
from tokenforge.domain.canonical import sha256_hex, to_plain
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.runtime import Accelerator

FULL = """
models: [synthetic:tiny, ./folder]
runtimes: [sim, vllm@0.32.0]
trials: 5
slo: {ttft_ms: 500}
quant: bf16
resources: {gpu: 1, memory: 8Gi}
engine_args: {sim: {step_ms: 5}}
workloads:
  - {name: a, qps: 5, duration_s: 3, prompt_len: {normal: {mean: 64, std: 8}}, gen_tokens: {uniform: {low: 1, high: 9}}}
  - {name: b, concurrency: 2, requests: 9, prompt_len: {lognormal: {mean: 64, cv: 0.5}}}
  - {name: c, qps: 5, duration_s: 3, gen_tokens: {histogram: {values: [1, 2], weights: [1, 1]}}}
"""


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    (tmp_path / "b.yaml").write_text(FULL)
    return load_benchmark(tmp_path / "b.yaml")


def recorded(benchmark: Benchmark) -> dict[str, object]:
    shown = without_secrets(benchmark)
    spec = json.loads(json.dumps(to_plain(shown)))
    return {"benchmark": spec, "spec_hash": sha256_hex(shown), "runs": [{"runtime": "sim@0.1.0"}]}


def ready(benchmark: Benchmark, *, is_trusted: bool = False, **changes: object) -> Benchmark:
    record = {**recorded(benchmark), **changes}
    return repeatable(read_benchmark(record), record, accelerator=Accelerator.CPU, is_trusted=is_trusted)


def with_args(benchmark: Benchmark, **args: object) -> Benchmark:
    spec = {**recorded(benchmark)["benchmark"], "engine_args": {"openai": args}}  # type: ignore[dict-item]
    return read_benchmark({"benchmark": spec})


def test_a_recorded_spec_reads_back_as_it_was(benchmark: Benchmark) -> None:
    assert read_benchmark(recorded(benchmark)) == benchmark
    assert check_spec(recorded(benchmark)).equal


def test_a_spec_that_was_edited_has_another_hash(benchmark: Benchmark) -> None:
    record = recorded(benchmark)
    record["benchmark"]["trials"] = 6  # type: ignore[index]
    assert check_spec(record).equal is False


def test_a_spec_of_another_form_is_refused_field_by_field() -> None:
    with pytest.raises(InvalidInput, match=r"models = None: is missing"):
        read_benchmark({"benchmark": {"trials": "five"}})


def test_the_measured_version_is_asked_for_and_a_version_the_user_named_stays(benchmark: Benchmark) -> None:
    assert [str(ref) for ref in ready(benchmark).runtimes] == ["sim@0.1.0", "vllm@0.32.0"]


def test_a_hidden_secret_is_asked_for(benchmark: Benchmark) -> None:
    with pytest.raises(InvalidInput, match=r"engine_args\.openai\.api_key"):
        ready(with_args(benchmark, api_key="sk-123"))


def test_a_command_from_a_bundle_runs_only_when_it_is_trusted(benchmark: Benchmark) -> None:
    with pytest.raises(InvalidInput, match="runs code that came with the bundle"):
        ready(with_args(benchmark, command="rm -rf /"))
    trusted = ready(with_args(benchmark, command="serve"), is_trusted=True)
    assert trusted.engine_args["openai"]["command"] == "serve"


def test_a_server_known_by_its_address_alone_is_not_started(benchmark: Benchmark) -> None:
    with pytest.raises(InvalidInput, match="was not started here"):
        ready(benchmark, runs=[{"runtime": "url", "target_url": "http://127.0.0.1:9"}])
