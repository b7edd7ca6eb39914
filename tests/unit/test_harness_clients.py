"""The load generator harness: what the clients' own output files are read as."""

import json
import struct
from pathlib import Path

import pytest
from record_samples import one_request

from harness.clients import ALL
from harness.clients.aiperf import Aiperf
from harness.clients.base import Client, Job, Load
from harness.clients.guidellm import Guidellm
from harness.clients.inference_perf import InferencePerf
from harness.clients.ours import reported
from harness.clients.raw import RawC
from harness.clients.vllm_bench import VllmBench
from harness.home import Home
from harness.plans import plan

WALL_CLOCK_NS = 1_700_000_000_000_000_000


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Two requests of three tokens at 10 a second."""
    load = Load(requests=2, tokens=3, seed=1, rate=10.0)
    return Job(load=load, url="http://127.0.0.1:8000", folder=tmp_path, tokenizer=tmp_path / "tokenizer")


def test_vllm_bench_reports_in_the_order_of_the_prompts(job: Job) -> None:
    facts = {"start_times": [1.0, 2.0], "ttfts": [0.05, 0.0], "itls": [[0.01, 0.02], []], "errors": ["", "refused"]}
    (job.folder / "result.json").write_text(json.dumps(facts))
    found = VllmBench().read(job)
    assert found.failed == 1
    assert [(r.prompt, r.zero_ns, r.ttft_ms, r.gaps_ms) for r in found.requests] == [(0, 10**9, 50, (10, 20))]


def test_aiperf_s_sessions_are_the_prompts(job: Job) -> None:
    good = {
        "metadata": {"conversation_id": "session_000001", "request_start_ns": WALL_CLOCK_NS},
        "metrics": {"time_to_first_token": {"value": 51.5}, "inter_chunk_latency": {"value": [10.0, 11.0]}},
    }
    bad = {"metadata": {}, "metrics": {}, "error": {"message": "no"}}
    (job.folder / "aiperf").mkdir()
    lines = "\n".join(map(json.dumps, (good, bad)))
    (job.folder / "aiperf" / "profile_export.jsonl").write_text(lines)
    found = Aiperf().read(job)
    assert found.failed == 1
    assert [(r.prompt, r.ttft_ms, r.gaps_ms) for r in found.requests] == [(1, 51.5, (10, 11))]


def test_inference_perf_s_token_times_become_ttft_and_gaps(job: Job) -> None:
    times = {"output_token_times": [5.05, 5.06, 5.08]}
    good = {"start_time": 5.0, "error": None, "info": {"response_metrics": times}}
    bad = {"start_time": 5.0, "error": {"error_type": "timeout"}, "info": {"response_metrics": None}}
    (job.folder / "reports").mkdir()
    (job.folder / "reports" / "per_request_lifecycle_metrics.json").write_text(json.dumps([good, bad]))
    found = InferencePerf().read(job)
    (request,) = found.requests
    assert (request.prompt, request.zero_ns, found.failed) == (None, 5 * 10**9, 1)
    assert request.ttft_ms == pytest.approx(50)
    assert request.gaps_ms == pytest.approx((10, 20))


def test_guidellm_reports_the_mean_gap_and_the_prompt_it_sent(job: Job) -> None:
    request = {
        "request_args": json.dumps({"body": {"prompt": "1 words of a prompt"}}),
        "info": {"timings": {"request_start": WALL_CLOCK_NS / 1e9}},
        "time_to_first_token_ms": 50.5,
        "inter_token_latency_ms": 10.1,
    }
    requests = {"successful": [request], "errored": [{}], "incomplete": None}
    (job.folder / "report.json").write_text(json.dumps({"benchmarks": [{"requests": requests}]}))
    found = Guidellm().read(job)
    assert found.failed == 1
    assert [(r.prompt, r.ttft_ms, r.gap_ms, r.gaps_ms) for r in found.requests] == [(1, 50.5, 10.1, ())]


def test_the_raw_client_s_ttft_counts_from_the_schedule(job: Job) -> None:
    note = (1, 1_000_000_000, 1_002_000_000, 1_052_000_000, 1_072_000_000)
    (job.folder / "notes.bin").write_bytes(struct.pack("<5q", *note))
    (request,) = RawC().read(job).requests
    assert (request.prompt, request.ttft_ms, request.ttft_sent_ms, request.gap_ms) == (1, 52, 50, 10)


def test_our_records_count_from_the_schedule_and_keep_the_send_apart() -> None:
    record = one_request(index=4, scheduled_ns=1_000_000, sent_ns=3_000_000, chunk_ns=(53_000_000, 63_000_000))
    (request,) = reported([record], origin_ns=100).requests
    assert (request.prompt, request.zero_ns, request.gaps_ms) == (4, 1_000_100, (10,))
    assert (request.ttft_ms, request.ttft_sent_ms) == (52, 50)


@pytest.mark.parametrize("client", ALL, ids=lambda client: client.name)
@pytest.mark.parametrize("pace", [{"rate": 10.0}, {"streams": 256}])
def test_every_client_s_command_names_the_server_and_the_pace(
    client: Client, pace: dict[str, float], job: Job, tmp_path: Path
) -> None:
    load = Load(requests=500, tokens=3, seed=1, rate=pace.get("rate"), streams=256 if "streams" in pace else None)
    paced = Job(load=load, url=job.url, folder=tmp_path, tokenizer=job.tokenizer)
    command = client.command(Home(root=tmp_path), paced)
    files = [path.read_text() for path in tmp_path.glob("*.json")]
    said = " ".join([*command.argv, *files])
    assert "8000" in said
    assert ("10" if "rate" in pace else "256") in said


def test_our_plan_s_prompts_begin_with_the_number_of_the_request() -> None:
    trial = plan(requests=5, tokens=3, seed=1, rate=100.0)
    texts = [(request.prompt_text or "").split()[0] for request in trial.requests]
    assert texts == [str(request.index) for request in trial.requests]
    assert {request.gen_tokens for request in trial.requests} == {3}
