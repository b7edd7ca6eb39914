"""Is the null server's log the truth? Hold it against the barest client there is, in C, with the kernel's own stamps.

    python benchmarks/calibration/agreement.py

Per load it prints, in microseconds: how long after the logged hand-over the kernel had the chunk for the receiver, how
long after the client's send the server says that the request arrived, and how late the server was against its own pace
(which does not matter: what is logged is what happened). Both logs are of CLOCK_MONOTONIC. Chunks whose hand-over took
over 100 us are left out, as calibration does; their share is printed. Needs a C compiler.
"""

import subprocess
import sys
import tempfile
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenforge.bench.calibration.calibrate import NULL_SERVER
from tokenforge.bench.calibration.compare import UNSURE_NS
from tokenforge.bench.calibration.truth import TrueAnswer, read_truth

HERE = Path(__file__).parent
SECONDS = 3.0
LOADS = ((20, 50, 100, 20), (50, 100, 50, 10), (100, 100, 50, 10), (300, 30, 20, 10), (300, 60, 20, 5))
"""Requests/s, tokens, TTFT in ms, ITL in ms."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What the bare client saw of one request, in ns."""

    before_ns: int
    after_ns: int
    stamps_ns: tuple[int, ...]


def main() -> int:
    """Run every load once."""
    print(f"{'load':38}  {'chunks/s':>8}  {'unsure':>7}  {'chunk: p50':>10}  {'p99':>6}  {'max':>6}  "
          f"{'request: p50':>12}  {'p99':>6}  {'max':>6}  {'pace p99':>8}")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        client = folder / "raw_client"
        subprocess.run(["cc", "-O2", "-o", str(client), str(HERE / "raw_client.c")], check=True)
        for load in LOADS:
            print(row(load, *run(load, client=client, folder=folder)))
    return 0


def run(load: tuple[int, int, int, int], *, client: Path, folder: Path) -> tuple[dict[int, TrueAnswer], dict[int, Raw]]:
    """The server's log and the client's, by request."""
    rate, tokens, ttft_ms, itl_ms = load
    truth, seen = folder / "truth", folder / "seen"
    command = [*NULL_SERVER, str(ttft_ms * 1_000_000), str(itl_ms * 1_000_000), str(truth)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        port = server.stdout.readline().split()[1]
        sends = [str(int(rate * SECONDS)), str(1_000_000 // rate), str(tokens)]
        subprocess.run([str(client), port, *sends, str(seen)], check=True)
        server.stdin.close()
        server.wait()
    return {answer.prompt: answer for answer in read_truth(truth)}, read_seen(seen)


def read_seen(path: Path) -> dict[int, Raw]:
    """The client's log."""
    numbers, found, at = array("q", path.read_bytes()), {}, 0
    while at < len(numbers):
        number, before, after, count = numbers[at : at + 4]
        found[number] = Raw(before, after, tuple(numbers[at + 4 : at + 4 + count]))
        at += 4 + count
    return found


def row(load: tuple[int, int, int, int], truth: dict[int, TrueAnswer], seen: dict[int, Raw]) -> str:
    """One line of the table."""
    rate, tokens, ttft_ms, itl_ms = load
    assert truth.keys() == seen.keys()
    handed = np.array([truth[i].handed_ns for i in sorted(truth)])
    took = np.array([truth[i].took_ns for i in sorted(truth)])
    came = np.array([seen[i].stamps_ns for i in sorted(truth)])
    arrived = np.array([truth[i].arrival_ns for i in sorted(truth)])
    sent = np.array([seen[i].before_ns for i in sorted(truth)])
    sure = took <= UNSURE_NS
    chunk = (came - handed)[sure] / 1e3
    request = (arrived - sent) / 1e3
    due = arrived[:, None] + (ttft_ms + np.arange(tokens) * itl_ms) * 1_000_000
    name = f"{rate}/s x {tokens} tokens, {ttft_ms} + {itl_ms} ms"
    late = np.quantile((handed - due) / 1e3, 0.99)
    return (
        f"{name:38}  {rate * tokens:8,}  {1 - sure.mean():7.2%}  {np.median(chunk):10.1f}  "
        f"{np.quantile(np.abs(chunk), 0.99):6.1f}  {np.abs(chunk).max():6.0f}  {np.median(request):12.1f}  "
        f"{np.quantile(np.abs(request), 0.99):6.1f}  {np.abs(request).max():6.0f}  {late:8.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())
