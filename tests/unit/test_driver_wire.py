"""Requests as bytes, and the job file that carries them to a child."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.bench.driver.job import DriveJob, Endpoint
from tokenforge.bench.driver.jobfile import ChildJob, JobRow, write_job
from tokenforge.bench.driver.wire import parse_target, request_bytes, request_head
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.plan import PlannedRequest, TrialPlan
from tokenforge.domain.workload import Arrival

REQUEST = PlannedRequest(index=4, at_ns=0, prompt_ids=(5, 6), prompt_tokens=2, gen_tokens=9)


def job(url: str = "http://h:8000") -> DriveJob:
    """A job without requests."""
    plan = TrialPlan(workload="w", arrival=Arrival.CONSTANT, trial=0, seed=0, requests=())
    return DriveJob(
        url=url,
        model="m",
        plan=plan,
        endpoint=Endpoint.COMPLETIONS,
        temperature=0.5,
        exact_output=False,
        continuous_usage=False,
        request_timeout_s=1,
        drain_s=1,
        headers={},
        folder=Path(),
    )


def sent(what: DriveJob, request: PlannedRequest = REQUEST) -> tuple[bytes, dict[str, object]]:
    """Head and decoded body of what would be sent; the length must be true."""
    head = request_head(parse_target(what.url, what.endpoint), what)
    top, _, body = request_bytes(head, request, what).partition(b"\r\n\r\n")
    assert int(top.rsplit(b" ", 1)[1]) == len(body)
    return top, json.loads(body)


def test_a_request_streams_with_usage_and_nothing_more_than_asked() -> None:
    top, body = sent(job())
    assert top.startswith(b"POST /v1/completions HTTP/1.1\r\nHost: h:8000\r\n")
    assert body == {
        "model": "m",
        "prompt": [5, 6],
        "max_tokens": 9,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_exact_output_forbids_an_early_end() -> None:
    _, body = sent(replace(job(), exact_output=True))
    assert (body["ignore_eos"], body["max_tokens"]) == (True, 9)


def test_continuous_usage_is_asked_for() -> None:
    _, body = sent(replace(job(), continuous_usage=True))
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


def test_a_chat_sends_its_text_as_a_message() -> None:
    request = replace(REQUEST, prompt_ids=None, prompt_text="grüß dich")
    top, body = sent(replace(job(), endpoint=Endpoint.CHAT), request)
    assert b"/v1/chat/completions" in top
    assert body["messages"] == [{"role": "user", "content": "grüß dich"}]


def test_a_chat_of_token_ids_is_refused() -> None:
    with pytest.raises(InvalidInput, match="takes no token ids"):
        sent(replace(job(), endpoint=Endpoint.CHAT))


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "header"),
    [
        ("http://a", "a", 80, "/v1/completions", "a"),
        ("https://a/", "a", 443, "/v1/completions", "a"),
        ("http://a:81/v1/", "a", 81, "/v1/completions", "a:81"),
        ("http://a:80/base", "a", 80, "/base/v1/completions", "a"),
        ("http://[::1]:9", "::1", 9, "/v1/completions", "[::1]:9"),
    ],
)
def test_a_base_url_becomes_a_target(url: str, host: str, port: int, path: str, header: str) -> None:
    target = parse_target(url, Endpoint.COMPLETIONS)
    assert (target.host, target.port, target.path, target.host_header) == (host, port, path, header)


@pytest.mark.parametrize("url", ["a:80", "ftp://a", "http://", "http://a:99999"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="not an http"):
        parse_target(url, Endpoint.COMPLETIONS)


def test_headers_travel_and_those_of_the_protocol_are_refused() -> None:
    top, _ = sent(replace(job(), headers={"Authorization": "Bearer s3cret"}))
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in top
    with pytest.raises(InvalidInput) as caught:
        sent(replace(job(), headers={"X": "s3cret\r\nHost: evil", "content-length": "3"}))
    assert len(caught.value.faults) == 2
    assert "s3cret" not in str(caught.value)


def test_a_password_in_the_url_becomes_a_header() -> None:
    assert b"Authorization: Basic dTpw\r\n" in sent(job("http://u:p@h"))[0] + b"\r\n"


def test_a_job_file_gives_back_what_was_written(tmp_path: Path) -> None:
    header = {"host": "h", "port": 1, "tls": False, "trial": 2, "process": 0, "processes": 1, "journal": "j"}
    header |= {"concurrency": None, "duration_s": None, "request_timeout_s": 3.0, "drain_s": 4.0}
    rows = [
        JobRow(at_ns=7, index=0, asked_prompt_tokens=-1, asked_output_tokens=5, hang_up_ns=9),
        JobRow(at_ns=-1, index=1, asked_prompt_tokens=3, asked_output_tokens=6, after=0, think_ns=4),
    ]
    with (tmp_path / "job").open("wb") as file:
        write_job(file, header=header, rows=rows, requests=[b"first", b"other one"])
    read = ChildJob(tmp_path / "job")
    assert [bytes(read.request(position)) for position in range(2)] == [b"first", b"other one"]
    assert (list(read.at_ns), list(read.index), list(read.asked_prompt_tokens)) == ([7, -1], [0, 1], [-1, 3])
    assert (list(read.after), list(read.think_ns), list(read.hang_up_ns)) == ([-1, 0], [0, 4], [9, -1])
    assert (read.count, read.trial, read.drain_s) == (2, 2, 4.0)


TALK = PlannedRequest(index=2, at_ns=0, messages=(("user", "a"), ("assistant", "b"), ("user", "c")), gen_tokens=3)


def test_a_chat_is_sent_as_its_messages() -> None:
    _, body = sent(replace(job(), endpoint=Endpoint.CHAT), TALK)
    assert body["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]


def test_messages_are_refused_where_no_chat_is() -> None:
    with pytest.raises(InvalidInput, match=r"plan.requests\[2\].messages .* completions endpoint takes no messages"):
        sent(job(), TALK)
