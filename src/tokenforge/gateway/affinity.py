"""Which replica has seen this before: requests of one session, or with one beginning, keep going to one replica.

Rendezvous hashing with a bound: for each key every replica has a rank that no other replica changes. A key that is new
here goes to the less loaded of its two best, so that requests which share nothing spread evenly, and is remembered;
later it goes there again while that replica has less than `LOAD_BOUND` times its part of the load, else to the best
that has. So a replica that comes or goes moves its own keys and no others, gateways agree within two replicas without
a word, and a key that everybody uses spills over instead of drowning one replica.

`benchmarks/routing` shows what it does to hits in the prefix cache and to the evenness of load (decision 0013).
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, Protocol, TypeVar

LOAD_BOUND = 1.25
"""A replica gets a request for its keys while it has less than this times the mean (rounded up)."""

KEPT_KEYS = 32_768
"""Keys whose replica is remembered: some megabytes."""

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


class Fields(Protocol):
    """What stands in a request's body."""

    def get(self, name: str, /) -> object:
        """A field's value, None where there is none."""
        ...


class Shared(Protocol):
    """What requests may have in common."""

    def key(self) -> int | None:
        """64 bits that they have in common; None when there is nothing to share."""
        ...


class Hint(NamedTuple):
    """What a request may share with others: its session, as a header says, and what stands in its body."""

    session: str
    fields: Fields

    def key(self) -> int | None:
        """64 bits that requests of one session or one beginning have in common; None when there is nothing to share.

        A session is named by the header, else by OpenAI's `prompt_cache_key`, else by its `user`.
        """
        for said in (self.session, self.fields.get("prompt_cache_key"), self.fields.get("user")):
            if said and isinstance(said, str):
                return _digest(f"s{said[:HEAD_CHARS]}")
        head = _head(self.fields)
        return None if head is None else _digest(head)


class Homes:
    """Where each key lives. `bound`: see LOAD_BOUND; `kept`: so many keys are remembered, those used last."""

    def __init__(self, *, bound: float = LOAD_BOUND, kept: int = KEPT_KEYS) -> None:
        self._bound = bound
        self._kept = kept
        self._homes: OrderedDict[int, str] = OrderedDict()

    def choose(self, key: int, free: Sequence[tuple[P, L]], *, among: Sequence[tuple[P, L]]) -> P | None:
        """The replica for it, of those `free` that have less than their part of what all `among` have and one more.

        A larger replica's part is larger. None when each of them has its part.
        """
        fit = _within(self._bound, free, among)
        if not fit:
            return None
        home = self._homes.get(key)
        if home is not None:
            self._homes.move_to_end(key)
            for one, _ in fit:
                if one.id == home:
                    return one
        fit.sort(key=lambda pair: key * _multiplier(pair[0].id) & _MASK, reverse=True)
        best = fit[0][0]
        if home is None or not any(one.id == home for one, _ in among):
            if len(fit) > 1 and fit[1][1].in_flight * best.capacity < fit[0][1].in_flight * fit[1][0].capacity:
                best = fit[1][0]
            self._remember(key, best.id)
        return best

    def _remember(self, key: int, home: str) -> None:
        self._homes[key] = home
        if len(self._homes) > self._kept:
            self._homes.popitem(last=False)


def _within(bound: float, free: Sequence[tuple[P, L]], among: Sequence[tuple[P, L]]) -> list[tuple[P, L]]:
    total, places = 1, 0
    for one, load in among:
        total += load.in_flight
        places += one.capacity
    part = bound * total / places
    return [(one, load) for one, load in free if load.in_flight < part * one.capacity]


@lru_cache(maxsize=4096)
def _multiplier(identity: str) -> int:
    """A replica's own odd number: multiplied by it, keys are ranked as no other replica ranks them."""
    return _digest(identity) | 1


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _head(fields: Fields) -> str | None:
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
