"""A key in a benchmark reaches the server and nothing else."""

import json

import pytest

from tokenforge.cli.plan import print_plan
from tokenforge.domain.benchmark import Benchmark, hide_secrets, without_secrets, without_userinfo
from tokenforge.domain.canonical import to_plain
from tokenforge.protocol.benchmark import parse_benchmark

CANARY = "sk-canary-123"


def a_benchmark() -> Benchmark:
    workload = {"name": "w", "qps": 1, "duration_s": 1}
    args = {"openai": {"base_url": "http://127.0.0.1:1", "api_key": CANARY}}
    return parse_benchmark(
        {"model": "synthetic:tiny", "runtimes": ["openai"], "workloads": [workload], "engine_args": args}
    )


def test_the_shown_benchmark_keeps_the_address_and_hides_the_key() -> None:
    shown = without_secrets(a_benchmark())
    assert shown.engine_args["openai"] == {"base_url": "http://127.0.0.1:1", "api_key": "(hidden)"}
    assert CANARY not in json.dumps(to_plain(shown))


@pytest.mark.parametrize("as_json", [True, False])
def test_a_printed_plan_holds_no_key(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    print_plan(a_benchmark(), url=None, as_json=as_json)
    assert CANARY not in capsys.readouterr().out


def test_an_option_that_only_sounds_like_a_secret_is_shown() -> None:
    workload = {"name": "w", "qps": 1, "duration_s": 1}
    args = {"vllm": {"max_num_batched_tokens": 512, "enable_prefix_caching": True}}
    body = {"model": "synthetic:tiny", "runtimes": ["vllm"], "workloads": [workload], "engine_args": args}
    assert without_secrets(parse_benchmark(body)).engine_args == args


def test_a_password_in_an_address_is_not_recorded() -> None:
    assert without_userinfo("http://me:p@ss@host:1/base") == "http://host:1/base"
    assert without_userinfo("http://host:1") == "http://host:1"


def test_a_password_in_the_address_of_an_attached_server_is_not_shown() -> None:
    shown = hide_secrets({"base_url": "http://me:pass@host:1/v1", "model": "a@b", "api_key": CANARY})
    assert shown == {"base_url": "http://host:1/v1", "model": "a@b", "api_key": "(hidden)"}
