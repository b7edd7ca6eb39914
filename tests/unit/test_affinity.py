"""Which replica a key goes to: the same one, whoever else comes and goes, as long as it has no more than its part."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.gateway.affinity import HEAD_CHARS, LOAD_BOUND, Hint, Homes

_CHANCE = random.Random(7)
KEYS = [_CHANCE.getrandbits(64) for _ in range(4_000)]
LONG = "You are the assistant of a library that knows its books by heart. " * 20


@dataclass(slots=True)
class Replica:
    id: str
    capacity: int = 64
    in_flight: int = 0


def crowd(count: int) -> list[tuple[Replica, Replica]]:
    replicas = [Replica(f"tiny-{number}") for number in range(count)]
    return [(replica, replica) for replica in replicas]


def home(key: int, of: Sequence[tuple[Replica, Replica]], homes: Homes | None = None) -> str:
    """Where it goes, by a gateway that remembers nothing unless it is given."""
    chosen = (homes or Homes()).choose(key, of, among=of)
    assert chosen is not None
    return chosen.id


def key_of(session: str = "", **fields: object) -> int | None:
    return Hint(session, fields).key()


def chat(*words: str, system: str = "") -> list[dict[str, object]]:
    roles = itertools.cycle(("user", "assistant"))
    said: list[dict[str, object]] = [{"role": role, "content": word} for role, word in zip(roles, words, strict=False)]
    return [{"role": "system", "content": system}, *said]


def test_keys_are_spread_evenly_over_idle_replicas() -> None:
    shares = Counter(home(key, crowd(8)) for key in KEYS)
    assert max(shares.values()) < 1.15 * len(KEYS) / 8
    assert min(shares.values()) > 0.85 * len(KEYS) / 8


def test_a_replica_that_goes_moves_its_own_keys_and_no_others() -> None:
    before, after = crowd(8), crowd(7)
    moved = [key for key in KEYS if home(key, before) != home(key, after)]
    assert {home(key, before) for key in moved} == {"tiny-7"}
    assert len(moved) == pytest.approx(len(KEYS) / 8, rel=0.15)


def test_a_replica_that_comes_takes_its_part_and_moves_nothing_else() -> None:
    before, after = crowd(4), crowd(5)
    moved = [key for key in KEYS if home(key, before) != home(key, after)]
    assert {home(key, after) for key in moved} == {"tiny-4"}
    assert len(moved) == pytest.approx(len(KEYS) / 5, rel=0.15)


def test_one_key_alone_fills_every_replica_evenly() -> None:
    of, homes = crowd(4), Homes()
    for _ in range(200):
        chosen = homes.choose(KEYS[0], of, among=of)
        assert chosen is not None
        chosen.in_flight += 1
    assert max(replica.in_flight for replica, _ in of) <= LOAD_BOUND * 200 / 4 + 1


@given(loads=st.lists(st.integers(0, 40), min_size=2, max_size=6), key=st.integers(0, 2**64 - 1))
def test_none_is_given_more_than_its_part(loads: list[int], key: int) -> None:
    of = crowd(len(loads))
    for (replica, _), load in zip(of, loads, strict=True):
        replica.in_flight = load
    chosen = Homes().choose(key, of, among=of)
    assert chosen is not None
    assert chosen.in_flight < LOAD_BOUND * (sum(loads) + 1) / len(loads)


def test_a_larger_replica_may_have_more() -> None:
    small, large = Replica("small", capacity=8, in_flight=5), Replica("large", capacity=32, in_flight=14)
    of = [(small, small), (large, large)]
    assert {home(key, of) for key in KEYS[:100]} == {"large"}


def test_a_new_key_goes_to_the_less_loaded_of_its_two_best_and_stays_there() -> None:
    of, homes = crowd(4), Homes(bound=100.0)
    best = home(KEYS[0], of)
    of[int(best[-1])][0].in_flight = 3
    second = home(KEYS[0], of, homes)
    of[int(best[-1])][0].in_flight = 0
    assert second != best
    assert home(KEYS[0], of, homes) == second
    assert home(KEYS[0], [pair for pair in of if pair[0].id not in (best, second)]) not in (best, second)


def test_a_key_comes_home_when_its_replica_has_room_again() -> None:
    of, homes = crowd(3), Homes()
    first = home(KEYS[0], of, homes)
    of[int(first[-1])][0].in_flight = 9
    assert home(KEYS[0], of, homes) != first
    of[int(first[-1])][0].in_flight = 0
    assert home(KEYS[0], of, homes) == first


def test_a_known_key_stays_when_a_replica_comes_and_moves_when_its_own_goes() -> None:
    homes = Homes()
    before = {key: home(key, crowd(4), homes) for key in KEYS[:400]}
    assert all(home(key, crowd(5), homes) == before[key] for key in before)
    moved = {key for key in before if home(key, crowd(3), homes) != before[key]}
    assert moved == {key for key in before if before[key] == "tiny-3"}


def test_so_many_keys_are_remembered_and_no_more() -> None:
    homes = Homes(kept=2)
    of = crowd(2)
    first = home(KEYS[0], of, homes)
    of[int(first[-1])][0].in_flight = 1
    home(KEYS[1], of, homes)
    home(KEYS[2], of, homes)
    assert home(KEYS[0], of, homes) != first


def test_a_session_goes_by_its_header_then_by_openais_fields() -> None:
    assert key_of("a", user="u") == key_of("a", prompt="other") != key_of("b", user="u")
    assert key_of(prompt_cache_key="k", user="u") == key_of(prompt_cache_key="k", user="v")
    assert key_of(user="u", prompt=LONG) == key_of(user="u") != key_of(user="v")
    assert key_of(user=7) is None


def test_prompts_with_the_same_beginning_have_one_key() -> None:
    assert key_of(prompt=LONG + "What of Homer?") == key_of(prompt=LONG + "What of Ovid?") == key_of(prompt=[LONG])
    assert key_of(prompt=LONG) != key_of(prompt=LONG.upper())
    assert key_of(prompt=list(range(200))) == key_of(prompt=list(range(300))) != key_of(prompt=[7] * 200)


def test_a_conversation_keeps_its_key_as_it_grows() -> None:
    first = "Tell me of the sea. " * 40
    assert len(first) > HEAD_CHARS
    assert key_of(messages=chat(first, system=LONG)) == key_of(messages=chat(first, "Blue.", "More?", system=LONG))


def test_conversations_of_one_application_have_keys_of_their_own() -> None:
    assert key_of(messages=chat("What of Homer?", system=LONG)) != key_of(messages=chat("What of Ovid?", system=LONG))


def test_text_in_parts_counts_as_text() -> None:
    parts = [{"type": "text", "text": LONG}, {"type": "image_url", "image_url": {}}]
    assert key_of(messages=[{"role": "user", "content": parts}]) == key_of(messages=[{"role": "user", "content": LONG}])


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "hi"}, {"prompt": [1, 2, 3]}, {"prompt": 7}, {"prompt": []}, {}, {"messages": ["hi"]},
        {"messages": [{"role": "user", "content": "hi"}]}, {"messages": [{"role": "user"}]},
    ],
)  # fmt: skip
def test_what_is_short_or_not_to_be_read_has_no_key(fields: dict[str, object]) -> None:
    assert Hint("", fields).key() is None


def test_half_a_surrogate_pair_is_no_error() -> None:
    assert key_of(prompt="\ud800" * 100) is not None
