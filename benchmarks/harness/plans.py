"""Our own plans and jobs for the harness: real workloads, numbered prompts, exact lengths."""

from dataclasses import replace
from pathlib import Path

from tokenforge.bench.driver.job import DriveJob, DriveResult, Endpoint
from tokenforge.bench.driver.offer import offer
from tokenforge.bench.plan import plan_trial
from tokenforge.domain.plan import PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Fixed, Workload

_TIMEOUT_S = 60.0
_DRAIN_S = 30.0


def plan(
    *,
    requests: int,
    tokens: int,
    seed: int,
    rate: float | None,
    streams: int | None = None,
    arrival: Arrival = Arrival.POISSON,
    burstiness: float = 1.0,
) -> TrialPlan:
    """A plan of `requests`, each with its own number as the first word of its prompt."""
    workload = Workload(
        name="harness",
        arrival=Arrival.CONCURRENCY if streams is not None else arrival,
        qps=rate,
        concurrency=streams,
        burstiness=burstiness,
        requests=requests,
        gen_tokens=Fixed(value=tokens),
    )
    drawn = plan_trial(workload, trial=0, seed=seed, tokenizer=None, window=None, form=PromptForm.TEXT)
    return replace(drawn, requests=tuple(replace(r, prompt_text=prompt_text(r.index)) for r in drawn.requests))


async def send(
    trial: TrialPlan,
    *,
    url: str,
    folder: Path,
    endpoint: Endpoint = Endpoint.COMPLETIONS,
    continuous_usage: bool = False,
) -> DriveResult:
    """Offer the plan with one driver process."""
    job = DriveJob(
        url=url,
        model="truth",
        plan=trial,
        endpoint=endpoint,
        temperature=0.0,
        exact_output=True,
        continuous_usage=continuous_usage,
        request_timeout_s=_TIMEOUT_S,
        drain_s=_DRAIN_S,
        headers={},
        folder=folder,
    )
    return await offer(job)


def prompt_text(number: int) -> str:
    """The prompt of request `number`: the truth server logs the first number it finds."""
    return f"{number} words of a prompt"


def write_prompts(path: Path, count: int, *, tokens: int) -> None:
    """JSONL that every client can read: the prompt under each of their names, and its number first."""
    with path.open("w") as file:
        for number in range(count):
            text = prompt_text(number)
            file.write(f'{{"prompt":"{text}","text":"{text}","output_tokens_count":{tokens}}}\n')
