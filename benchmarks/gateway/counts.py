"""What gateways lose that do not know each other's requests: waits at replicas, in virtual time.

    python benchmarks/gateway/counts.py

Poisson arrivals spread evenly over the gateways, exponential service of mean 1, replicas of 8 places with a queue each.
A gateway takes the replica with the fewest requests of its own, or of all gateways; ties go to the least recent.
"""

import heapq
import random
import sys
from collections import deque

REPLICAS, PLACES, REQUESTS = 4, 8, 30_000


def waits(*, gateways: int, is_shared: bool, load: float, seed: int) -> tuple[float, float]:
    """Mean and 99th percentile of the wait for a place, in mean services."""
    chance = random.Random(seed)
    own = [[0] * REPLICAS for _ in range(gateways)]
    used = [[0] * REPLICAS for _ in range(gateways)]
    running, queues = [0] * REPLICAS, [deque[tuple[float, int]]() for _ in range(REPLICAS)]
    ends: list[tuple[float, int, int]] = []
    seen: list[float] = []
    now = 0.0
    for turn in range(REQUESTS):
        now += chance.expovariate(load * REPLICAS * PLACES)
        while ends and ends[0][0] <= now:
            at, replica, gateway = heapq.heappop(ends)
            own[gateway][replica] -= 1
            running[replica] -= 1
            if queues[replica]:
                since, waiting = queues[replica].popleft()
                seen.append(at - since)
                running[replica] += 1
                heapq.heappush(ends, (at + chance.expovariate(1.0), replica, waiting))
        gateway = chance.randrange(gateways)
        counts = [sum(all_own) for all_own in zip(*own, strict=True)] if is_shared else own[gateway]
        replica = min(range(REPLICAS), key=lambda one: (counts[one], used[gateway][one]))
        own[gateway][replica] += 1
        used[gateway][replica] = turn
        if running[replica] < PLACES:
            running[replica] += 1
            seen.append(0.0)
            heapq.heappush(ends, (now + chance.expovariate(1.0), replica, gateway))
        else:
            queues[replica].append((now, gateway))
    seen.sort()
    return sum(seen) / len(seen), seen[int(0.99 * len(seen))]


def main() -> None:
    """Print the table."""
    out = ["| load | gateways | counts | mean wait | p99 wait |", "|---|---|---|---|---|"]
    for load in (0.6, 0.8, 0.9):
        for gateways, is_shared in ((1, True), (2, False), (4, False), (8, False)):
            mean, p99 = waits(gateways=gateways, is_shared=is_shared, load=load, seed=1)
            out.append(f"| {load} | {gateways} | {'all' if is_shared else 'own'} | {mean:.3f} | {p99:.2f} |")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
