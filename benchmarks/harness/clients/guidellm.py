"""guidellm 0.8.1: `guidellm run`, its JSON report."""

import json

from harness.clients.base import Command, Job, Reported, SeenRequest
from harness.clock import wall_minus_monotonic_ns
from harness.home import PIP, Home

_VERSION = "0.8.1"
_CHECK = "import guidellm, importlib.metadata as m; print(m.version('guidellm'))"


class Guidellm:
    """Reports stamps of every request, but only the mean gap between its tokens."""

    name = "guidellm"
    bound_ms = 5.0
    first_rate = 5.0
    stream_requests = 1024
    zero = "its own send"

    def install(self, home: Home) -> str:
        """From PyPI."""
        return home.environment(self.name, [(*PIP, f"guidellm=={_VERSION}")], checks=_CHECK)

    def command(self, home: Home, job: Job) -> Command:
        """Poisson or concurrent profile over a file of prompts, as many requests as there are prompts."""
        load = job.load
        profile = f"poisson,rate={load.rate}" if load.rate is not None else f"concurrent,streams={load.streams}"
        options = {
            "--backend": f"kind=openai_http,target={job.url},model=truth,request_format=/v1/completions,"
            f"max_tokens={load.tokens}",
            "--profile": f"kind={profile}",
            "--constraint": f"kind=max_requests,count={load.requests}",
            "--data": f"kind=json_file,path={job.prompts}",
            "--tokenizer": f"kind=hf_auto,model={job.tokenizer}",
            "--seed": f"kind=static,value={load.seed}",
            "--output": f"kind=json,path={job.folder / 'report.json'}",
        }
        words = [word for option in options.items() for word in option]
        argv = (str(home.script(self.name, "guidellm")), "run", *words, "--disable-console")
        return Command(argv=argv, env={"HF_HUB_OFFLINE": "1"})

    def read(self, job: Job) -> Reported:
        """Stamps are wall-clock seconds."""
        requests = json.loads((job.folder / "report.json").read_text())["benchmarks"][0]["requests"]
        offset_ns = wall_minus_monotonic_ns()
        seen = []
        for request in requests["successful"] or []:
            timings = request["info"]["timings"]
            body = json.loads(request["request_args"])["body"]
            seen.append(
                SeenRequest(
                    prompt=int(str(body["prompt"]).split()[0]),
                    zero_ns=int(timings["request_start"] * 1e9) - offset_ns,
                    ttft_ms=request["time_to_first_token_ms"],
                    gap_ms=request["inter_token_latency_ms"],
                )
            )
        failed = sum(len(requests[kind] or []) for kind in ("errored", "incomplete"))
        return Reported(requests=tuple(seen), failed=failed)
