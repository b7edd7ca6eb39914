"""aiperf 0.13.0: `aiperf profile`, its per-request JSONL."""

import json

from harness.clients.base import Command, Job, Reported, SeenRequest
from harness.clock import wall_minus_monotonic_ns
from harness.home import PIP, Home

_VERSION = "0.13.0"
_CHECK = "import aiperf, importlib.metadata as m; print(m.version('aiperf'))"


class Aiperf:
    """Reports the send, the TTFT and every gap of each request."""

    name = "aiperf"
    bound_ms = 5.0
    first_rate = 20.0
    stream_requests = 1536
    zero = "its own send"

    def install(self, home: Home) -> str:
        """From PyPI."""
        return home.environment(self.name, [(*PIP, f"aiperf=={_VERSION}")], checks=_CHECK)

    def command(self, home: Home, job: Job) -> Command:
        """Its own telemetry of servers and GPUs is off: there is none. Offline mode would refuse a tokenizer folder."""
        load = job.load
        rate = ("--request-rate", f"{load.rate}", "--arrival-pattern", "poisson")
        pace = rate if load.rate is not None else ("--concurrency", f"{load.streams}")
        argv = (
            str(home.script(self.name, "aiperf")), "profile", "--model", "truth", "--tokenizer", str(job.tokenizer),
            "--url", job.url, "--endpoint-type", "completions", "--streaming", *pace,
            "--request-count", str(load.requests), "--input-file", str(job.prompts),
            "--custom-dataset-type", "single_turn", "--dataset-sampling-strategy", "sequential",
            "--extra-inputs", f"max_tokens:{load.tokens}", "--artifact-dir", str(job.folder / "aiperf"),
            "--export-level", "records", "--ui", "none", "--random-seed", str(load.seed),
            "--no-gpu-telemetry", "--no-server-metrics",
        )  # fmt: skip
        return Command(argv=argv)

    def read(self, job: Job) -> Reported:
        """One line per request; stamps are wall-clock ns. Prompts were taken in order, so a session is a prompt."""
        offset_ns = wall_minus_monotonic_ns()
        seen, failed = [], 0
        for line in (job.folder / "aiperf" / "profile_export.jsonl").read_text().splitlines():
            record = json.loads(line)
            metadata, metrics = record["metadata"], record["metrics"]
            if record.get("error") or "time_to_first_token" not in metrics:
                failed += 1
                continue
            seen.append(
                SeenRequest(
                    prompt=int(str(metadata["conversation_id"]).rpartition("_")[2]),
                    zero_ns=metadata["request_start_ns"] - offset_ns,
                    ttft_ms=metrics["time_to_first_token"]["value"],
                    gaps_ms=tuple(metrics["inter_chunk_latency"]["value"]),
                )
            )
        return Reported(requests=tuple(seen), failed=failed)
