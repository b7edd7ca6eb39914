"""inference-perf 0.7.0: `inference-perf --config_file`, its per-request JSON."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from harness.clients.base import Command, Job, Load, Reported, SeenRequest
from harness.home import PIP, Home

_VERSION = "0.7.0"
_PYTHONS = ("python3.12", "python3.13", "python3.14")
_CHECK = "import inference_perf.main, importlib.metadata as m; print(m.version('inference-perf'))"
_NEEDS = """
import importlib.metadata, subprocess, sys
needs = [need for need in importlib.metadata.requires("inference-perf") if "extra ==" not in need]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "-q", *needs]))
"""
_PROMPT_TOKENS = 8
_WORKER_STREAMS = 100


class InferencePerf:
    """Reports the start and every token's time of each request, but not which prompt it was: matched by order."""

    name = "inference-perf"
    bound_ms = 5.0
    first_rate = 50.0
    stream_requests = 1536
    zero = "its own send"

    def install(self, home: Home) -> str:
        """From PyPI, with a Python of 3.12 or newer where there is one, else with this one against its wish."""
        newer = sys.executable if sys.version_info >= (3, 12) else _newer_python()
        if newer is not None:
            return home.environment(self.name, [(*PIP, f"inference-perf=={_VERSION}")], checks=_CHECK, python=newer)
        steps = [
            (*PIP, "--no-deps", "--ignore-requires-python", f"inference-perf=={_VERSION}"),
            ("-c", _NEEDS),
        ]
        version = home.environment(self.name, steps, checks=_CHECK)
        return f"{version} (on Python {sys.version_info.major}.{sys.version_info.minor}, it asks for 3.12)"

    def command(self, home: Home, job: Job) -> Command:
        """Random prompts of fixed length, because it takes none from a file."""
        config = job.folder / "config.json"
        config.write_text(json.dumps(_config(job)))
        argv = (str(home.script(self.name, "inference-perf")), "--config_file", str(config))
        return Command(argv=argv, env={"HF_HUB_OFFLINE": "1"})

    def read(self, job: Job) -> Reported:
        """Stamps are monotonic seconds."""
        records = json.loads((job.folder / "reports" / "per_request_lifecycle_metrics.json").read_text())
        seen = []
        for record in records:
            times = (record["info"].get("response_metrics") or {}).get("output_token_times") or []
            if record["error"] is not None or not times:
                continue
            seen.append(
                SeenRequest(
                    prompt=None,
                    zero_ns=int(record["start_time"] * 1e9),
                    ttft_ms=(times[0] - record["start_time"]) * 1e3,
                    gaps_ms=tuple((later - earlier) * 1e3 for earlier, later in pairwise(times)),
                )
            )
        return Reported(requests=tuple(seen), failed=len(records) - len(seen))


def _newer_python() -> str | None:
    """One that really runs, on the path (a version manager's stand-in may not) or beside this Python's own folder."""
    beside = [str(path) for name in _PYTHONS for path in sorted(Path(sys.base_prefix).parent.glob(f"*/bin/{name}"))]
    for path in [*filter(None, map(shutil.which, _PYTHONS)), *beside]:
        if subprocess.run([path, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def _config(job: Job) -> dict[str, object]:
    load = job.load
    return {
        "api": {"type": "completion", "streaming": True},
        "data": {
            "type": "random",
            "input_distribution": _fixed(_PROMPT_TOKENS, load.requests),
            "output_distribution": _fixed(load.tokens, load.requests),
        },
        "load": _load(load),
        "server": {"type": "vllm", "model_name": "truth", "base_url": job.url, "ignore_eos": True},
        "tokenizer": {"pretrained_model_name_or_path": str(job.tokenizer)},
        "report": {"request_lifecycle": {"summary": True, "per_stage": False, "per_request": True}},
        "storage": {"local_storage": {"path": str(job.folder / "reports")}},
    }


def _load(load: Load) -> dict[str, object]:
    common: dict[str, object] = {"base_seed": load.seed, "interval": 0}
    if load.rate is not None:
        stage = {"rate": load.rate, "duration": max(1, round(load.requests / load.rate))}
        return {"type": "poisson", "stages": [stage], **common}
    stage = {"num_requests": load.requests, "concurrency_level": load.streams or 1}
    most = max(_WORKER_STREAMS, load.streams or 1)
    return {"type": "concurrent", "stages": [stage], "worker_max_concurrency": most, **common}


def _fixed(tokens: int, count: int) -> dict[str, object]:
    return {"type": "fixed", "min": tokens, "max": tokens, "mean": tokens, "std_dev": 0, "total_count": count}
