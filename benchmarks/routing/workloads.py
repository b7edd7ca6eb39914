"""Loads to route: what is asked when, how long it is, and how much of it earlier requests had in common with it."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

_WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
_CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """One request. `prefix` names what it shares, `shared` tokens of it; after it `keeps` tokens are there under it."""

    at_s: float
    prefix: str
    shared: int
    tokens: int
    keeps: int
    fields: Mapping[str, object]


def conversations(*, seed: int, requests: int) -> Sequence[Ask]:
    """chats of five turns in the mean under one system prompt; each turn repeats all before it"""
    chance = random.Random(seed)
    queue: list[tuple[float, int, int]] = []
    begun, clock_s = 0, 0.0
    asks: list[Ask] = []
    while len(asks) < requests:
        if not queue or queue[0][0] > clock_s:
            heappush(queue, (clock_s, begun, 0))
            begun += 1
            clock_s += chance.expovariate(1.6)
        at_s, number, turn = heappop(queue)
        before = 400 + 400 * turn
        head = [{"role": "system", "content": "You answer in short. " * 80}, {"role": "user", "content": _text(number)}]
        asks.append(Ask(at_s, f"c{number}", before, before + 200, before + 400, {"messages": head}))
        if chance.random() < 0.8:
            heappush(queue, (at_s + 3.0 + chance.expovariate(0.2), number, turn + 1))
    return sorted(asks)


def documents(*, seed: int, requests: int) -> Sequence[Ask]:
    """questions of 50 tokens about one of 64 documents of 2,000 tokens, a few of them asked about most"""
    chance = random.Random(seed)
    weights = [1 / (rank + 1) ** 0.9 for rank in range(64)]
    asks, at_s = [], 0.0
    for number in chance.choices(range(64), weights, k=requests):
        at_s += chance.expovariate(14.0)
        asks.append(Ask(at_s, f"d{number}", 2_000, 2_050, 2_000, {"prompt": _text(number)}))
    return asks


def unique(*, seed: int, requests: int) -> Sequence[Ask]:
    """prompts of 1,000 tokens that share nothing"""
    chance = random.Random(seed)
    asks, at_s = [], 0.0
    for number in range(requests):
        at_s += chance.expovariate(28.0)
        asks.append(Ask(at_s, f"u{number}", 0, 1_000, 1_000, {"prompt": _text(number)}))
    return asks


def _text(number: int) -> str:
    """A beginning of its own, long enough to be a key."""
    chance = random.Random(number)
    return " ".join(chance.choice(_WORDS) for _ in range(120)) + f" {number}"


WORKLOADS: Mapping[str, Callable[..., Sequence[Ask]]] = {
    "conversations": conversations, "documents": documents, "unique": unique,
}  # fmt: skip
