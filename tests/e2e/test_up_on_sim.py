"""The platform on one machine, on simulated engines: the specification's calls, the command line, what it survives."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from platform_rig import Up, is_live, up, wait_for

INFER = {
    "model": "synthetic:tiny", "runtime": "sim", "prompt": "Explain KV cache",
    "max_tokens": 16, "temperature": 0.2, "top_p": 0.95, "stream": False,
}  # fmt: skip
BENCHMARK: dict[str, Any] = {
    "model": "synthetic:tiny",
    "runtimes": ["sim"],
    "workloads": [{"name": "qa-short", "qps": 5, "duration_s": 2, "prompt_len": 64, "gen_tokens": 8}],
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that serves `synthetic:tiny` on sim."""
    with up(tmp_path_factory.mktemp("home")) as made:
        done = made.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny")
        assert done.returncode == 0, done.stderr
        yield made


def is_serving(platform: Up, name: str = "tiny") -> bool:
    return bool(platform.call("GET", f"/deployments/{name}")[1]["ready"])


def test_the_first_specifications_infer_is_answered(platform: Up) -> None:
    status, body = platform.call("POST", "/infer", INFER)
    assert (status, body["runtime"]) == (200, "sim")
    assert 1 <= body["usage"]["completion_tokens"] <= 16
    assert 0 <= body["timings"]["ttft_ms"] <= body["timings"]["total_ms"]


def test_the_first_specifications_benchmark_runs_and_its_report_opens(platform: Up) -> None:
    status, made = platform.call("POST", "/benchmarks/run", BENCHMARK)
    run = made["runs"][0]["id"]
    wait_for(lambda: platform.call("GET", f"/runs/{run}")[1]["status"] == "succeeded", limit_s=60)
    assert status == 202
    files = platform.call("GET", f"/runs/{run}/artifacts")[1]["artifacts"]
    assert {one["name"] for one in files} == {"report.html", "report.md", "record.json", "requests.parquet"}
    record = platform.call("GET", f"/runs/{run}/artifacts/record.json")[1]
    assert record["runs"][0]["engine"]["simulated"] is True


def test_a_run_that_is_cancelled_in_its_trial_ends_and_the_next_one_is_measured(platform: Up) -> None:
    long = {**BENCHMARK["workloads"][0], "name": "long", "duration_s": 300}
    _, made = platform.call("POST", "/benchmarks/run", {**BENCHMARK, "workloads": [long, *BENCHMARK["workloads"]]})
    first, second = (run["id"] for run in made["runs"])
    wait_for(lambda: platform.call("GET", f"/runs/{first}")[1]["status"] == "running", limit_s=30)
    status, cancelled = platform.call("POST", f"/runs/{first}/cancel")
    assert (status, cancelled["status"]) == (202, "cancelled")
    wait_for(lambda: platform.call("GET", f"/runs/{second}")[1]["status"] == "succeeded", limit_s=60)
    assert platform.call("GET", f"/benchmarks/{made['id']}")[1]["status"] == "cancelled"
    record = platform.call("GET", f"/runs/{second}/artifacts/record.json")[1]
    assert [(run["workload"], run["status"]) for run in record["runs"]] == [
        ("long", "cancelled"), ("qa-short", "succeeded"),
    ]  # fmt: skip


def test_the_official_openai_client_works_unchanged(platform: Up) -> None:
    with openai.OpenAI(base_url=f"{platform.url}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["synthetic:tiny"]
        chat = client.chat.completions.create(
            model="synthetic:tiny", messages=[{"role": "user", "content": "hi"}], max_tokens=5
        )
        assert chat.usage is not None
        assert chat.usage.completion_tokens == 5
        stream = client.completions.create(
            model="synthetic:tiny", prompt="a", max_tokens=5, stream=True, stream_options={"include_usage": True}
        )
        assert [chunk.usage for chunk in stream][-1] is not None
        with pytest.raises(openai.NotFoundError):
            client.completions.create(model="nothing", prompt="a")
        with pytest.raises(openai.BadRequestError, match="tools"):
            client.chat.completions.create(
                model="synthetic:tiny", messages=[{"role": "user", "content": "hi"}],
                tools=[{"type": "function", "function": {"name": "f"}}],
            )  # fmt: skip


def test_the_command_line_asks_streams_lists_and_prints_logs(platform: Up) -> None:
    asked = platform.run("infer", "synthetic:tiny", "hello", "--max-tokens", "4", "--json")
    streamed = platform.run("infer", "synthetic:tiny", "hello", "--max-tokens", "4", "--stream")
    listed = platform.run("deployments", "--json")
    assert json.loads(asked.stdout)["finish_reason"] == "length"
    assert (streamed.returncode, "4 tokens" in streamed.stderr) == (0, True)
    assert json.loads(listed.stdout)["deployments"][0]["ready"] is True
    assert "phase=ready" in platform.run("logs", "tiny").stdout
    assert "Requested" in platform.run("logs", "tiny", "--events").stdout


def test_every_command_prints_json_when_asked_here_or_of_a_named_server(platform: Up) -> None:
    there = ("--server", platform.url, "--json")
    prompt = ("infer", "synthetic:tiny", "hello", "--max-tokens", "4", *there)
    assert json.loads(platform.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "b", *there).stdout)[
        "ready"
    ]
    assert len(json.loads(platform.run("deployments", *there).stdout)["deployments"]) == 2
    assert json.loads(platform.run(*prompt).stdout)["usage"]["completion_tokens"] <= 4
    streamed = [json.loads(line)["event"] for line in platform.run(*prompt, "--stream").stdout.splitlines()]
    assert (set(streamed[:-1]), streamed[-1]) == ({"token"}, "done")
    assert any("phase=ready" in line for line in json.loads(platform.run("logs", "b", *there).stdout)["lines"])
    assert json.loads(platform.run("logs", "b", "--events", *there).stdout)["events"][0]["reason"] == "Requested"
    assert json.loads(platform.run("delete", "b", *there).stdout)["status"] == "deleting"


def test_runs_of_a_server_are_listed_shown_cancelled_and_reported_by_command(platform: Up) -> None:
    long = {**BENCHMARK["workloads"][0], "name": "long", "duration_s": 300}
    _, made = platform.call("POST", "/benchmarks/run", {**BENCHMARK, "workloads": [*BENCHMARK["workloads"], long]})
    short, other = (run["id"] for run in made["runs"])
    early = platform.run("runs", "report", short)
    assert (early.returncode, "no report yet" in early.stderr) == (1, True)
    assert {short, other} <= {run["id"] for run in json.loads(platform.run("runs", "list", "--json").stdout)["runs"]}
    assert f"run {other} is cancelled" in platform.run("runs", "cancel", other).stdout
    wait_for(lambda: platform.call("GET", f"/runs/{short}")[1]["status"] == "succeeded", limit_s=60)
    shown = platform.run("runs", "show", short, "--events")
    assert (shown.returncode, "succeeded" in shown.stdout, "trial 1" in shown.stdout) == (0, True, True)
    assert platform.run("runs", "report", short).stdout.strip() == f"{platform.url}/runs/{short}/report"
    again = platform.run("runs", "cancel", short)
    assert (again.returncode, "is over: succeeded" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("logs", "nobody"), 2),
        (("delete", "nobody"), 2),
        (("runs", "show", "nobody"), 2),
        (("runs", "cancel", "nobody"), 2),
        (("infer", "nothing", "hello"), 2),
        (("infer", "synthetic:tiny", "hello", "--max-tokens", "999999"), 2),
        (("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny"), 1),
        (("deploy", "synthetic:tiny", "--runtime", "sim", "--replicas", "many"), 2),
    ],
)
def test_a_command_that_cannot_be_used_exits_with_2_and_one_that_failed_with_1(
    platform: Up, words: tuple[str, ...], code: int
) -> None:
    done = platform.run(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.strip()


def test_faults_of_a_command_are_told_with_their_fields(platform: Up) -> None:
    done = platform.run("deploy", "synthetic:tiny", "--runtime", "vlm")
    assert done.returncode == 2
    assert "did you mean vllm?" in done.stderr


def test_a_killed_worker_is_replaced(platform: Up) -> None:
    before = {process.pid for process in platform.workers()}
    for process in platform.workers():
        process.kill()
    wait_for(lambda: bool({p.pid for p in platform.workers()} - before) and is_serving(platform), limit_s=15)
    assert platform.call("POST", "/infer", INFER)[0] == 200


def test_a_killed_control_comes_back_and_takes_up_its_workers(platform: Up) -> None:
    workers = [process.pid for process in platform.workers()]
    old = platform.part("control")
    old.kill()
    wait_for(lambda: is_there(platform, "control", old.pid), limit_s=15)
    assert platform.call("POST", "/infer", INFER)[0] == 200
    platform.call("PATCH", "/deployments/tiny", {"replicas": 2})
    wait_for(lambda: len(platform.workers()) == 2 and is_serving(platform), limit_s=20)
    assert set(workers) <= {process.pid for process in platform.workers()}
    platform.call("PATCH", "/deployments/tiny", {"replicas": 1})
    wait_for(lambda: len(platform.workers()) == 1 and is_serving(platform), limit_s=20)


def is_there(platform: Up, name: str, old: int) -> bool:
    """Whether that part runs again, as another process."""
    try:
        return platform.part(name).pid != old
    except ValueError:
        return False


def test_a_client_that_comes_while_the_gateway_restarts_is_answered(platform: Up) -> None:
    platform.part("gateway").kill()
    assert platform.call("POST", "/infer", INFER)[0] == 200


def test_a_client_that_leaves_frees_the_slot_within_a_second(platform: Up) -> None:
    body = json.dumps({**INFER, "max_tokens": 1500, "prompt": "long", "stream": True}).encode()
    host, port = platform.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        assert b"200 OK" in client.recv(4096)
    log = ""

    def is_cancelled() -> bool:
        nonlocal log
        log = platform.run("logs", "tiny").stdout
        return "outcome=cancelled" in log

    wait_for(is_cancelled, limit_s=10)
    (line,) = [line for line in log.splitlines() if "outcome=cancelled" in line]
    assert float(line.rsplit("duration_s=", 1)[1].split()[0]) < 1.0


def test_a_new_revision_under_load_fails_no_request(platform: Up) -> None:
    before = {process.pid for process in platform.workers()}
    statuses: list[int] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            statuses.append(platform.call("POST", "/infer", {**INFER, "max_tokens": 30})[0])

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    generation = platform.call("PATCH", "/deployments/tiny", {"revision": "2"})[1]["generation"]
    wait_for(lambda: not before & {p.pid for p in platform.workers()} and is_serving(platform), limit_s=60)
    stop.set()
    for client in clients:
        client.join(30)
    assert platform.call("GET", "/deployments/tiny")[1]["observed"]["generation"] == generation
    assert len(statuses) > 10
    assert set(statuses) == {200}


def test_a_second_up_for_the_same_home_or_port_is_refused(platform: Up, tmp_path: Path) -> None:
    port = platform.url.rsplit(":", 1)[1]
    same = platform.run("up", "--port", "0")
    assert (same.returncode, "up already" in same.stderr) == (1, True)
    platform.env["TOKENFORGE_HOME"], home = str(tmp_path), platform.env["TOKENFORGE_HOME"]
    taken = platform.run("up", "--port", port)
    platform.env["TOKENFORGE_HOME"] = home
    assert (taken.returncode, "cannot listen" in taken.stderr) == (1, True)


def test_what_was_deployed_is_there_again_after_a_restart_and_nothing_outlives_either(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home) as first:
        assert first.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny").returncode == 0
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(30) == 0
        assert first.everything() == []
    with up(home) as second:
        wait_for(lambda: is_serving(second), limit_s=20)
        second.process.kill()
        wait_for(lambda: second.everything() == [], limit_s=15)
        assert not is_live(second.url)


def test_a_command_without_a_server_says_how_to_start_one(platform: Up) -> None:
    done = platform.run("deployments", "--server", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "tokenforge up" in done.stderr


def test_several_gateways_share_one_port_and_one_that_is_killed_comes_back(tmp_path: Path) -> None:
    with up(tmp_path / "home", ("--gateways", "2")) as platform:
        both = platform.parts("gateway")
        assert len(both) == 2
        platform.run("deploy", "synthetic:tiny", "--runtime", "sim")
        body = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 2}
        assert {platform.call("POST", "/infer", body)[0] for _ in range(20)} == {200}
        both[1].kill()
        wait_for(lambda: len(platform.parts("gateway")) == 2, limit_s=20)
        assert {platform.call("POST", "/infer", body)[0] for _ in range(20)} == {200}
