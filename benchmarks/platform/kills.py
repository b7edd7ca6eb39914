"""Kill the platform's processes at random moments under load, and see that nothing is lost.

    python benchmarks/platform/kills.py --kills 50 --seed 1

It runs `tokenforge up` in a home of its own with two deployments of simulated engines (two replicas and one), clients
that ask without pause, and benchmarks that are queued all the while. A kill is SIGKILL to the gateway, to control or to
a worker; the next one does not wait until the platform is whole again. It prints a row for each kill: how long until
every deployment was as desired again (and `since`, from the last kill before that, which must be 15 s at most), and how
requests ended meanwhile, by name. Exit code 1 when anything was lost.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from survival.attack import Plan, attack
from survival.attack_table import table_of
from survival.strikes import MOST_GAP_S


def main() -> int:
    """Attack once; the exit code."""
    parser = argparse.ArgumentParser(description="Kill processes of a loaded platform at random.")
    parser.add_argument("--kills", type=int, default=50, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="what chance draws from")
    parser.add_argument("--clients", type=int, default=8, help="how many ask at once")
    parser.add_argument("--most-gap", type=float, default=MOST_GAP_S, help="the longest pause between two kills, in s")
    parser.add_argument("--home", type=Path, help="where its state and logs are kept; default: a folder that goes away")
    asked = parser.parse_args()
    plan = Plan(kills=asked.kills, seed=asked.seed, clients=asked.clients, most_gap_s=asked.most_gap)
    with tempfile.TemporaryDirectory(prefix="tokenforge-kills-") as folder:
        outcome = asyncio.run(attack(plan, home=asked.home or Path(folder) / "home", say=_say))
    print("\n".join(table_of(outcome)))
    return 1 if outcome.faults else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
