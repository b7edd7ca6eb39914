"""TokenForge's own driver: a plan, offered by `tokenforge.bench.driver.offer` in a process of its own."""

import importlib.metadata
import json
import sys
from itertools import pairwise
from pathlib import Path

from harness.clients.base import Command, Job, Reported, SeenRequest
from harness.home import Home
from tokenforge.bench.driver.offer import journal_paths
from tokenforge.bench.journal import read_journal
from tokenforge.domain.record import Outcome, RequestRecord

_DRIVE = Path(__file__).parents[1] / "drive.py"


class Ours:
    """Reports every stamp of each request; TTFT counts from the schedule, so lateness is in it."""

    name = "tokenforge"
    bound_ms = 1.0
    first_rate = 800.0
    stream_requests = 4096
    zero = "the schedule"

    def install(self, home: Home) -> str:
        """It is the package that runs this."""
        del home
        return importlib.metadata.version("tokenforge")

    def command(self, home: Home, job: Job) -> Command:
        """`drive.py` with the load in a file."""
        del home
        load = job.load
        spec = job.folder / "spec.json"
        facts = {"url": job.url, "folder": str(job.folder), "seed": load.seed}
        facts |= {"requests": load.requests, "tokens": load.tokens, "rate": load.rate, "streams": load.streams}
        spec.write_text(json.dumps(facts))
        return Command(argv=(sys.executable, str(_DRIVE), str(spec)))

    def read(self, job: Job) -> Reported:
        """From the journals; stamps count from an origin on the monotonic clock."""
        origin_ns = json.loads((job.folder / "drive.json").read_text())["origin_ns"]
        records = [record for path in journal_paths(job.folder, 0) for record in read_journal(path)]
        return reported(records, origin_ns=origin_ns)


def reported(records: list[RequestRecord], *, origin_ns: int) -> Reported:
    """What our records say. In a closed loop there is no schedule: TTFT is from the send."""
    good = [record for record in records if record.outcome is Outcome.OK]
    return Reported(requests=tuple(_seen(record, origin_ns) for record in good), failed=len(records) - len(good))


def _seen(record: RequestRecord, origin_ns: int) -> SeenRequest:
    assert record.sent_ns is not None
    zero_ns = record.sent_ns if record.scheduled_ns is None else record.scheduled_ns
    return SeenRequest(
        prompt=record.index,
        zero_ns=origin_ns + zero_ns,
        ttft_ms=(record.chunk_ns[0] - zero_ns) / 1e6,
        gaps_ms=tuple((later - earlier) / 1e6 for earlier, later in pairwise(record.chunk_ns)),
        ttft_sent_ms=(record.chunk_ns[0] - record.sent_ns) / 1e6,
    )
