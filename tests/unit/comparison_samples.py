"""Records of comparisons: two simulated servers under one load, in the order that `compare` runs them."""

from collections.abc import Mapping

from record_samples import Engine, Load, sample

from tokenforge.analysis.head_to_head import HeadToHead
from tokenforge.analysis.summary import summarise
from tokenforge.bench.order import trial_order
from tokenforge.domain.benchmark import Order
from tokenforge.store.requests_table import RequestsFile

CLOSED = Load(name="closed", qps=None, requests=60)
A, B = (Engine(runtime=f"{name}@1", drift=0.005, cv=0.05) for name in "ab")


def compared(
    a: Engine = A, b: Engine = B, *, load: Load = CLOSED, quads: int = 5, seed: int = 0, **spec: object
) -> tuple[dict[str, object], RequestsFile]:
    """The record of B against A and its requests. `spec` changes what the comparison says of itself."""
    document, requests = sample([a, b], [load], trials=2 * quads, seed=seed)
    metric = "e2e_mean" if load.qps is not None else "output_tokens_per_s"
    sides: list[Mapping[str, object]] = [{"runtime": {"name": one.runtime}, "url": None} for one in (a, b)]
    told = {"sides": sides, "quads": quads, "metric": metric, "delta": 0.05, "restart": "quad", **spec}
    document["benchmark"]["comparison"] = told  # type: ignore[index]
    steps = trial_order(runtimes=2, workloads=1, trials=2 * quads, order=Order.INTERLEAVED, seed=seed)
    for position, step in enumerate(steps):
        trial = document["runs"][step.runtime]["trials"][step.trial]  # type: ignore[index]
        trial.update(position=position, engine_start=step.trial // 2)
    return document, requests


def verdict(document: dict[str, object], requests: RequestsFile) -> HeadToHead:
    """What is said of the record."""
    found = summarise(document, requests).head_to_head
    assert found is not None
    return found
