"""What `compare` is asked on the command line, as a benchmark; faults all at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.cli.compare import exit_code
from tokenforge.cli.compare_asked import Asked, command_text, read_asked
from tokenforge.domain.benchmark import without_secrets
from tokenforge.domain.comparison import ComparisonSpec
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.workload import Arrival

ASKED = Asked(
    a="transformers", b="vllm@0.32.0", model="synthetic:tiny", file=None, workload=None, rate=None, concurrency=None,
    duration_s=None, requests=None, prompt_len=None, gen_tokens=None, engine_args_a=(), engine_args_b=(), quads=5,
    delta="5%", metric=None, restart=None, seed=None, tokenizer=None, chat=False, parity=True, calibrate=True, out=None,
    as_json=False,
)  # fmt: skip
FILE = """
model: synthetic:tiny
runtimes: [sim]
engine_args: {sim: {step_ms: 5, max_num_seqs: 2}}
workloads:
  - {name: open, qps: 20, duration_s: 1}
  - {name: closed, concurrency: 2, requests: 6}
"""


def spec_of(asked: Asked) -> ComparisonSpec:
    found = read_asked(asked).comparison
    assert found is not None
    return found


def faults_of(asked: Asked) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        read_asked(asked)
    return {fault.field: f"{fault.message} {fault.hint or ''}" for fault in caught.value.faults}


def test_two_names_and_a_model_are_enough() -> None:
    benchmark = read_asked(ASKED)
    (load,) = benchmark.workloads
    assert (load.arrival, load.concurrency, load.requests) == (Arrival.CONCURRENCY, 4, 32)
    assert (benchmark.trials, spec_of(ASKED).quads, spec_of(ASKED).metric) == (10, 5, "output_tokens_per_s")
    assert [str(one) for one in benchmark.runtimes] == ["transformers", "vllm@0.32.0"]


def test_a_rate_makes_an_open_loop_that_end_to_end_latency_decides() -> None:
    (load,) = read_asked(replace(ASKED, rate=3.0)).workloads
    assert (load.arrival, load.qps, load.duration_s) == (Arrival.POISSON, 3.0, 20.0)
    assert spec_of(replace(ASKED, rate=3.0)).metric == "e2e_mean"


def test_engine_arguments_are_json_where_they_can_be_and_text_where_not() -> None:
    given = ("max_num_seqs=64", "enforce_eager=true", "dtype=bfloat16", "a=b=c")
    args = spec_of(replace(ASKED, engine_args_b=given)).sides[1].engine_args
    assert args == {"max_num_seqs": 64, "enforce_eager": True, "dtype": "bfloat16", "a": "b=c"}


def test_arguments_of_the_file_hold_for_both_sides_unless_one_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(FILE)
    asked = replace(ASKED, a="sim", b="sim", model=None, file=tmp_path / "b.yaml", workload="closed")
    sides = spec_of(replace(asked, engine_args_b=("step_ms=6",))).sides
    assert [dict(side.engine_args) for side in sides] == [
        {"step_ms": 5, "max_num_seqs": 2},
        {"step_ms": 6, "max_num_seqs": 2},
    ]
    assert read_asked(asked).workloads[0].name == "closed"


def test_every_fault_is_told_at_once() -> None:
    wrong = replace(
        ASKED, a="VLLM!", b="ftp://x", model=None, rate=1.0, concurrency=2, quads=2, delta="5", metric="speed",
        restart="often", engine_args_a=("x",), gen_tokens=0,
    )  # fmt: skip
    told = faults_of(wrong)
    assert {
        "A", "B", "--model", "--rate and --concurrency", "--quads", "--delta", "--metric", "--restart", "--gen-tokens",
    } <= set(told)  # fmt: skip
    assert "e2e_mean" in told["--metric"]


def test_options_that_would_have_no_effect_are_faults(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(FILE)
    told = faults_of(replace(ASKED, file=tmp_path / "b.yaml", rate=2.0))
    assert set(told) == {"--rate", "--workload"}
    assert "--engine-args-a" in faults_of(replace(ASKED, a="http://h:1", engine_args_a=("x=1",)))


def test_one_server_cannot_be_both_sides() -> None:
    told = faults_of(replace(ASKED, a="http://h:1/v1", b="http://h:1"))
    assert "prefix cache" in told["B"]


def test_goodput_needs_limits() -> None:
    assert "limits" in faults_of(replace(ASKED, metric="goodput"))["--metric"]


def test_the_record_keeps_the_command_without_its_secrets() -> None:
    asked = replace(ASKED, a="http://me:pass@h:1", engine_args_b=("api_key=sk-1", "max_num_seqs=4"), rate=2.0)
    benchmark = read_asked(asked)
    text = command_text(asked, benchmark)
    assert text == (
        "tokenforge compare http://h:1 vllm@0.32.0 --model synthetic:tiny --rate 2 --engine-args-b api_key=(hidden) "
        "--engine-args-b max_num_seqs=4 --quads 5 --delta 5%"
    )
    shown = without_secrets(benchmark).comparison
    assert shown is not None
    assert "pass" not in str(shown)
    assert "sk-1" not in str(shown)


@pytest.mark.parametrize(
    ("verdict", "code"), [("better", 0), ("equivalent", 0), ("worse", 1), ("inconclusive", 2), ("?", 2), (None, 2)]
)
def test_the_exit_code_is_one_for_worse_alone(verdict: str | None, code: int) -> None:
    assert exit_code({"summary": {"head_to_head": None if verdict is None else {"verdict": verdict}}}) == code
