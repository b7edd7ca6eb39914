"""The simulation of routing: it shows what it is for, and nothing that cannot be."""

import pytest

from routing.simulation import Place, Result, simulate
from routing.workloads import WORKLOADS

REQUESTS = 600


def run(name: str, bound: float | None) -> Result:
    return simulate(WORKLOADS[name](seed=7, requests=REQUESTS), Place(), bound=bound)


@pytest.mark.parametrize("name", ["conversations", "documents"])
def test_by_prefix_more_is_found_in_the_caches(name: str) -> None:
    assert run(name, 1.25).hit_share > run(name, None).hit_share + 0.1


def test_where_nothing_is_shared_nothing_is_found() -> None:
    assert run("unique", 1.25).hits == 0


def test_the_load_is_uneven_within_the_bound() -> None:
    assert run("documents", None).unevenness < run("documents", 1.25).unevenness < run("documents", 1e9).unevenness


def test_every_request_is_answered_and_the_same_seed_gives_the_same() -> None:
    once, again = run("conversations", 1.25), run("conversations", 1.25)
    assert len(once.ttfts_s) == REQUESTS
    assert (once.ttfts_s, once.loads) == (again.ttfts_s, again.loads)
