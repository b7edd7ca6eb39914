"""How often the driver looks at its sockets."""

import pytest

from tokenforge.bench.driver.pace import Pace

MS = 1_000_000


def test_the_pause_is_a_fraction_of_the_gap_between_chunks() -> None:
    pace = Pace(longest_ns=2 * MS)
    pace.note(reads=320, streams=32, over_ns=100 * MS)
    assert pace.pause_ns == pytest.approx(1.5 * MS)


def test_fast_streams_shorten_the_pause() -> None:
    pace = Pace(longest_ns=2 * MS)
    pace.note(reads=25_600, streams=256, over_ns=100 * MS)
    assert pace.pause_ns == pytest.approx(0.15 * MS)


def test_slow_streams_lengthen_it_to_the_longest_only() -> None:
    pace = Pace(longest_ns=2 * MS)
    pace.note(reads=50, streams=50, over_ns=100 * MS)
    assert pace.pause_ns == 2 * MS


def test_a_few_reads_say_nothing() -> None:
    pace = Pace(longest_ns=2 * MS)
    before_ns = pace.pause_ns
    pace.note(reads=19, streams=1, over_ns=100 * MS)
    assert pace.pause_ns == before_ns


def test_reads_without_a_stream_left_count_as_one_stream() -> None:
    pace = Pace(longest_ns=2 * MS)
    pace.note(reads=100, streams=0, over_ns=100 * MS)
    assert pace.pause_ns == pytest.approx(0.15 * MS)


def test_a_first_pause_is_short_and_never_over_the_longest() -> None:
    assert Pace(longest_ns=2 * MS).pause_ns == 0.1 * MS
    assert Pace(longest_ns=50_000).pause_ns == 50_000
