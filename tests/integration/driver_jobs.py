"""Plans and jobs for the driver's tests: small, exact, seeded."""

import random
from pathlib import Path

from tokenforge.bench.driver.job import DriveJob, Endpoint
from tokenforge.domain.plan import PlannedRequest, TrialPlan
from tokenforge.domain.workload import Arrival


def open_plan(count: int, *, rate: float, tokens: int = 4, arrival: Arrival = Arrival.CONSTANT) -> TrialPlan:
    """`count` requests at `rate` per second, constant or Poisson; the prompt's first number is the index."""
    chance, at_s, requests = random.Random(7), 0.0, []
    for index in range(count):
        requests.append(_request(index, at_ns=int(at_s * 1e9), tokens=tokens))
        at_s += chance.expovariate(rate) if arrival is Arrival.POISSON else 1 / rate
    return TrialPlan(workload="test", arrival=arrival, trial=3, seed=7, requests=tuple(requests))


def closed_plan(count: int, *, clients: int, tokens: int = 4, duration_s: float | None = None) -> TrialPlan:
    """`count` requests by `clients` clients."""
    requests = tuple(_request(index, at_ns=None, tokens=tokens) for index in range(count))
    return TrialPlan(
        workload="test",
        arrival=Arrival.CONCURRENCY,
        trial=3,
        seed=7,
        requests=requests,
        concurrency=clients,
        duration_s=duration_s,
    )


def drive_job(
    url: str,
    plan: TrialPlan,
    folder: Path,
    *,
    endpoint: Endpoint = Endpoint.COMPLETIONS,
    continuous_usage: bool = False,
    request_timeout_s: float = 10.0,
    drain_s: float = 10.0,
    processes: int = 1,
) -> DriveJob:
    """A job with the defaults of a test."""
    return DriveJob(
        url=url,
        model="m",
        plan=plan,
        endpoint=endpoint,
        temperature=0.0,
        exact_output=True,
        continuous_usage=continuous_usage,
        request_timeout_s=request_timeout_s,
        drain_s=drain_s,
        headers={"Authorization": "Bearer secret"},
        folder=folder,
        processes=processes,
    )


def _request(index: int, *, at_ns: int | None, tokens: int) -> PlannedRequest:
    text = f"{index} words"
    return PlannedRequest(index=index, at_ns=at_ns, prompt_text=text, prompt_tokens=2, gen_tokens=tokens)
