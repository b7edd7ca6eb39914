"""Which replica has seen this before: requests of one session, or with one beginning, keep going to one replica.

Rendezvous hashing with a bound: for each key every replica has a rank that no other replica changes, and the key goes
to the best of those that have less than `LOAD_BOUND` times their part of the load. So a replica that comes or goes
moves its own keys and no others, several gateways agree without a word, and a key that everybody uses spills over to
the next in rank instead of drowning one replica. Nothing is remembered of past requests.

The bound weighs a hit in the prefix cache against an even load; `benchmarks/routing` shows what it does to both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol, TypeVar

LOAD_BOUND = 1.25
"""A replica gets a request for its keys while it has less than this times the mean (rounded up)."""

HEAD_CHARS = 512
"""So much of the system's words, and so much of what follows them, are one key: about 128 tokens each."""

LEAST_CHARS = 64
"""A shorter beginning fills no block of a prefix cache: such a request goes to the least loaded replica."""

_HEAD_TOKENS = HEAD_CHARS // 4
_LEAST_TOKENS = LEAST_CHARS // 4
_MASK = (1 << 64) - 1


class Placed(Protocol):
    """A replica as the choice sees it."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def capacity(self) -> int:
        """How many requests it may have at once."""
        ...


class Loaded(Protocol):
    """What a replica has to do."""

    in_flight: int


P = TypeVar("P", bound=Placed)
L = TypeVar("L", bound=Loaded)


@dataclass(frozen=True, slots=True, eq=False)
class Hint:
    """What a request may share with others: its session, as a header says, and its body, which was read already."""

    session: str
    fields: Mapping[str, object]

    def key(self) -> int | None:
        """64 bits that requests of one session or one beginning have in common; None when there is nothing to share.

        A session is named by the header, else by OpenAI's `prompt_cache_key`, else by its `user`.
        """
        for said in (self.session, self.fields.get("prompt_cache_key"), self.fields.get("user")):
            if said and isinstance(said, str):
                return _digest(f"s{said[:HEAD_CHARS]}")
        head = _head(self.fields)
        return None if head is None else _digest(head)


def nearest(
    key: int, free: Sequence[tuple[P, L]], *, among: Sequence[tuple[P, L]], bound: float = LOAD_BOUND
) -> P | None:
    """The best in rank of those `free` that have less than their part of what all `among` have, and one more.

    A larger replica's part is larger. None when each of them has its part.
    """
    total, places = 1, 0
    for one, load in among:
        total += load.in_flight
        places += one.capacity
    part = bound * total / places
    best, best_rank = None, -1
    for one, load in free:
        if load.in_flight < part * one.capacity:
            rank = key * _multiplier(one.id) & _MASK
            if rank > best_rank:
                best, best_rank = one, rank
    return best


@lru_cache(maxsize=4096)
def _multiplier(identity: str) -> int:
    """A replica's own odd number: multiplied by it, keys are ranked as no other replica ranks them."""
    return _digest(identity) | 1


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _head(fields: Mapping[str, object]) -> str | None:
    """The beginning of a prompt or of a chat; None where it is short, or not to be read."""
    messages = fields.get("messages")
    if isinstance(messages, list):
        return _chat_head(messages)
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return None if len(prompt) < LEAST_CHARS else f"p{prompt[:HEAD_CHARS]}"
    if isinstance(prompt, list):
        return None if len(prompt) < _LEAST_TOKENS else f"t{prompt[:_HEAD_TOKENS]}"
    return None


def _chat_head(messages: Sequence[object]) -> str | None:
    """What the system was told, and the conversation's beginning: each by itself, as many share the first alone."""
    told, said = "", ""
    for message in messages:
        if not isinstance(message, Mapping):
            return None
        text = _text(message.get("content"))
        if not said and message.get("role") in ("system", "developer"):
            told += text[: HEAD_CHARS - len(told)]
        else:
            said += text[: HEAD_CHARS - len(said)]
            if len(said) >= HEAD_CHARS:
                break
    return None if len(told) + len(said) < LEAST_CHARS else f"c{told}\0{said}"


def _text(content: object) -> str:
    """A message's words, also where they come in parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, Mapping))
    return "".join(text for text in texts if isinstance(text, str))
