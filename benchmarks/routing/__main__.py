"""What `routing: prefix` does to hits in the prefix cache, to the evenness of load and to the time to the first token.

    PYTHONPATH=benchmarks python -m routing [--requests N] [--replicas N] [--seed N]

A simulation in virtual time around the gateway's own router; the replicas are a model, not a measurement: one prefill
at a time at a fixed speed, a fixed time of decoding, and a prefix cache that forgets what was used longest ago.
"""

import argparse

from routing.simulation import Place, Result, simulate
from routing.workloads import WORKLOADS
from tokenforge.gateway import affinity

BOUNDS = (1.1, 1.25, 1.5, 2.0, 1e9)


def main() -> None:
    """Print a table for each workload."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--replicas", type=int, default=4)
    options.add_argument("--seed", type=int, default=7)
    said = options.parse_args()
    for name, workload in WORKLOADS.items():
        print(f"\n{name}: {workload.__doc__}")
        print(f"{'routing':<22}{'tokens hit':>11}{'most / mean':>13}{'TTFT p50':>10}{'TTFT p99':>10}")
        place = Place(replicas=said.replicas)
        for bound in (None, *BOUNDS):
            asks = workload(seed=said.seed, requests=said.requests)
            print(_row(_named(bound), simulate(asks, place, bound=bound)))


def _named(bound: float | None) -> str:
    if bound is None:
        return "least_load"
    text = "prefix, unbounded" if bound > 1e6 else f"prefix, bound {bound:g}"
    return text + (" *" if bound == affinity.LOAD_BOUND else "")


def _row(name: str, result: Result) -> str:
    ttft = f"{result.ttft_ms(0.5):>8.0f}ms{result.ttft_ms(0.99):>8.0f}ms"
    return f"{name:<22}{result.hit_share:>11.1%}{result.unevenness:>13.2f}{ttft}"


if __name__ == "__main__":
    main()
