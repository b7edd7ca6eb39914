"""Comparing clocks by messages: the true offset is always within what is said, however long messages take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.bench.driver.clock_offset import Round, offset_of

WAYS_NS = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**8), st.integers(0, 10**9)), min_size=1, max_size=10
)


def rounds(true_ns: int, ways: list[tuple[int, int, int]]) -> list[Round]:
    """Messages to a clock that is `true_ns` ahead, each with its ways there, of thinking, and back."""
    made, now_ns = [], 10**12
    for there_ns, thinks_ns, back_ns in ways:
        seen_ns = now_ns + there_ns
        answered_ns = seen_ns + thinks_ns
        made.append(
            Round(
                sent_ns=now_ns,
                seen_there_ns=seen_ns + true_ns,
                answered_there_ns=answered_ns + true_ns,
                heard_ns=answered_ns + back_ns,
            )
        )
        now_ns = answered_ns + back_ns
    return made


@given(st.integers(-(10**15), 10**15), WAYS_NS)
def test_the_true_offset_is_within_the_bound(true_ns: int, ways: list[tuple[int, int, int]]) -> None:
    found = offset_of(rounds(true_ns, ways))
    assert abs(found.at_ns - true_ns) <= found.bound_ns


@given(st.integers(-(10**15), 10**15), WAYS_NS)
def test_the_bound_is_half_of_the_quickest_ways_together(true_ns: int, ways: list[tuple[int, int, int]]) -> None:
    quickest_ns = min(way[0] for way in ways) + min(way[2] for way in ways)
    assert offset_of(rounds(true_ns, ways)).bound_ns == (quickest_ns + 1) // 2


def test_clocks_that_went_apart_meanwhile_are_told() -> None:
    before, after = rounds(0, [(0, 0, 0)])[0], rounds(5_000_000, [(0, 0, 0)])[0]
    with pytest.raises(ValueError, match="went apart by 5 ms"):
        offset_of([before, after])


def test_without_a_message_nothing_is_said() -> None:
    with pytest.raises(ValueError, match="no message"):
        offset_of([])
