"""TokenForge as its user runs it: `tokenforge bench --url`, its table of requests."""

import importlib.metadata
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq

from harness.clients.base import Command, Job, Reported, SeenRequest
from harness.home import Home


class OursCommand:
    """The whole command: probing, planning, warming up, the load, the analysis and the report.

    Its stamps count from the trial's start, which its files give in milliseconds only: compared from the send.
    """

    name = "tokenforge bench"
    bound_ms = 1.0
    first_rate = 400.0
    stream_requests = 4096
    zero = "its own send (its files do not place the trial's start exactly)"

    def install(self, home: Home) -> str:
        """It is the package that runs this."""
        del home
        return importlib.metadata.version("tokenforge")

    def command(self, home: Home, job: Job) -> Command:
        """Word prompts; eight requests more come first, to warm up."""
        load = job.load
        pace = ("--rate", f"{load.rate}") if load.rate is not None else ("--concurrency", f"{load.streams}")
        argv = (
            str(Path(sys.executable).with_name("tokenforge")), "bench", "--url", job.url, *pace,
            "--requests", str(load.requests), "--prompt-len", "8", "--gen-tokens", str(load.tokens),
            "--seed", str(load.seed), "--out", str(job.folder / "run"), "--no-calibration",
        )  # fmt: skip
        return Command(argv=argv, env={"TOKENFORGE_HOME": str(home.root / "tokenforge")})

    def read(self, job: Job) -> Reported:
        """One row per request, in the order of their sending."""
        columns = ["sent_ns", "chunk_ns", "outcome"]
        rows = pq.read_table(job.folder / "run" / "requests.parquet", columns=columns).to_pylist()
        good = [row for row in rows if row["outcome"] == "ok"]
        seen = [
            SeenRequest(
                prompt=None,
                zero_ns=None,
                ttft_ms=(row["chunk_ns"][0] - row["sent_ns"]) / 1e6,
                gaps_ms=tuple((later - earlier) / 1e6 for earlier, later in pairwise(row["chunk_ns"])),
            )
            for row in sorted(good, key=lambda row: row["sent_ns"])
        ]
        return Reported(requests=tuple(seen), failed=len(rows) - len(good))
