"""Let clients connect and vanish for a while, and see that the platform holds nothing of them.

    python benchmarks/platform/vanish.py --runtime sim --seconds 60 --clients 200
    python benchmarks/platform/vanish.py --runtime transformers

It runs `tokenforge up` in a home of its own (`--home` to use one that has the engines' environments) with one
deployment. Clients leave at random: before they asked, half-way through a request, in the midst of an answer; half of
them by a reset. Afterwards the engine must be free within a second, descriptors and tasks of every process back to
what they were, and memory as it was after the warm-up. Exit code 1 when not.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from survival.vanishing import Plan, table_of, vanish


def main() -> int:
    """Haunt once; the exit code."""
    parser = argparse.ArgumentParser(description="Let clients of a platform vanish at random.")
    parser.add_argument("--runtime", default="sim", help="sim, transformers or vllm")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--clients", type=int, default=200, help="how many at once")
    parser.add_argument("--warm-up", type=float, default=15.0, help="seconds of the same beforehand")
    parser.add_argument("--seed", type=int, default=1, help="what chance draws from")
    parser.add_argument("--home", type=Path, help="TOKENFORGE_HOME to use; default: a folder that goes away")
    asked = parser.parse_args()
    plan = Plan(
        runtime=asked.runtime, seconds=asked.seconds, clients=asked.clients, seed=asked.seed, warm_up_s=asked.warm_up
    )
    with tempfile.TemporaryDirectory(prefix="tokenforge-vanish-") as folder:
        outcome = asyncio.run(vanish(plan, home=asked.home or Path(folder) / "home", say=_say))
    print("\n".join(table_of(outcome)))
    return 1 if outcome.faults else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
