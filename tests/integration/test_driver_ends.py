"""Trials that end badly: records are kept, children end, the error is named."""

import asyncio
import contextlib
import os
import signal
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_jobs import closed_plan, drive_job, open_plan
from driver_truth import truth_server
from own_children import children_with

from tokenforge.bench.driver.job import DriveResult, DriverFailed
from tokenforge.bench.driver.offer import journal_paths, offer
from tokenforge.bench.journal import read_journal
from tokenforge.domain.errors import TokenForgeError
from tokenforge.domain.record import Outcome

JSON_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN = b'data: {"choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}\n\n'


def chunked(*events: bytes) -> bytes:
    """A whole chunked stream."""
    return STREAM_HEAD + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


@contextlib.contextmanager
def scripted(answer: bytes, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that says `answer` to whatever comes, then closes; its URL."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            secured = tls.wrap_socket if tls else lambda sock, server_side: sock
            with contextlib.suppress(OSError), secured(self.request, server_side=True) as peer:
                if peer.recv(65_536):
                    peer.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http{'s' if tls else ''}://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()


async def answered(answer: bytes, folder: Path) -> DriveResult:
    """The result of two requests that were answered so."""
    with scripted(answer) as url:
        return await offer(drive_job(url.replace("localhost", "127.0.0.1"), open_plan(2, rate=100), folder))


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (chunked(TOKEN, LAST, b"data: [DONE]\n\n"), Outcome.OK, None),
        (chunked(TOKEN, LAST), Outcome.OK, None),
        (chunked(TOKEN, b"data: [DONE]\n\n"), Outcome.TRUNCATED, "without a finish_reason"),
        (chunked(TOKEN), Outcome.TRUNCATED, "without a finish_reason"),
        (chunked(TOKEN, LAST, TOKEN[:-5]), Outcome.TRUNCATED, "inside an event"),
        (chunked(TOKEN, LAST, b"data: [DONE]\n\n")[:-5], Outcome.TRUNCATED, "within the answer"),
        (chunked(TOKEN, b"data: {oops\n\n", LAST), Outcome.PROTOCOL_ERROR, "no JSON object"),
        (chunked(TOKEN, LAST) + b"more", Outcome.PROTOCOL_ERROR, "bytes after the end"),
        (STREAM_HEAD + b"zz\r\n", Outcome.PROTOCOL_ERROR, "bad chunk size line"),
        (b"SSH-2.0-x\r\n", Outcome.PROTOCOL_ERROR, "not an HTTP/1 response"),
        (b"", Outcome.TRUNCATED, "before any byte"),
        (JSON_ANSWER, Outcome.PROTOCOL_ERROR, "no event stream"),
        (b'HTTP/1.1 404 No\r\nContent-Length: 22\r\n\r\n{"detail":"Not Found"}', Outcome.HTTP_ERROR, "Not Found"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", Outcome.HTTP_ERROR, "HTTP 502 without a body"),
        (chunked(TOKEN, b'data: {"error":{"message":"boom"}}\n\n'), Outcome.HTTP_ERROR, "boom"),
    ],
)  # fmt: skip
async def test_an_answer_is_right_or_wrong_by_name(
    answer: bytes, outcome: Outcome, words: str | None, tmp_path: Path
) -> None:
    result = await answered(answer, tmp_path)
    assert {record.outcome for record in result.records} == {outcome}
    assert (words or "") in (result.records[0].error or "")
    assert (result.records[0].error is None) == (outcome is Outcome.OK)


async def test_a_cancelled_trial_ends_its_children_and_keeps_its_records(tmp_path: Path) -> None:
    with truth_server(tmp_path, "--ttft-us", "20000", "--itl-us", "1000") as server:
        task = asyncio.create_task(offer(drive_job(server.url, open_plan(1000, rate=100), tmp_path)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 2)
    records = read_journal(journal_paths(tmp_path, 3)[0])
    assert 10 < len(records) < 200
    assert sum(record.outcome is Outcome.OK for record in records) > 10
    assert {record.outcome for record in records} <= {Outcome.OK, Outcome.CANCELLED}
    assert not children_with("tokenforge.bench.driver")


async def test_a_killed_child_is_an_error_that_carries_the_records(tmp_path: Path) -> None:
    with truth_server(tmp_path, "--ttft-us", "20000", "--itl-us", "1000") as server:
        task = asyncio.create_task(offer(drive_job(server.url, open_plan(1000, rate=100), tmp_path)))
        await asyncio.sleep(1)
        for child in children_with("tokenforge.bench.driver"):
            os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(DriverFailed, match="signal 9") as caught:
            await task
    assert len(caught.value.records) > 10
    assert isinstance(caught.value, TokenForgeError)


async def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    job = drive_job("http://no-such-host.invalid:1", open_plan(1, rate=1), tmp_path)
    with pytest.raises(DriverFailed, match="did not get ready") as caught:
        await offer(job)
    assert caught.value.last_words


async def test_no_secret_stays_on_the_disk(tmp_path: Path) -> None:
    await answered(b"", tmp_path)
    assert files_with(b"secret", tmp_path) == []


def files_with(word: bytes, folder: Path) -> list[Path]:
    """Files under `folder` that hold `word`."""
    return [path for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost with its key, in one file."""
    path = tmp_path / "cert.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    try:
        subprocess.run([*make.split(), "-keyout", path, "-out", tmp_path / "c"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    path.write_text(path.read_text() + (tmp_path / "c").read_text())
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    """A TLS server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_tls_answers_are_read_like_plain_ones(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    answer = chunked(TOKEN, LAST, b"data: [DONE]\n\n")
    with scripted(answer, tls=server_context(certificate)) as url:
        result = await offer(drive_job(url, closed_plan(6, clients=2), tmp_path))
    assert {(record.outcome, record.counted_tokens) for record in result.records} == {(Outcome.OK, 2)}
    assert all(record.sent_ns is not None and record.sent_ns < record.chunk_ns[0] for record in result.records)


async def test_an_untrusted_certificate_is_refused(certificate: Path, tmp_path: Path) -> None:
    with scripted(chunked(LAST), tls=server_context(certificate)) as url:
        result = await offer(drive_job(url, open_plan(2, rate=50), tmp_path))
    assert {record.outcome for record in result.records} == {Outcome.CONNECT_FAILED}
    assert "certificate" in (result.records[0].error or "")
