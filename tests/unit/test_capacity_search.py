"""The search for a capacity, against a server whose capacity is known."""

import numpy as np
from capacity_server import TRUE_CAPACITY, naive_capacity, search, ttft_s
from hypothesis import example, given
from hypothesis import strategies as st

from tokenforge.analysis.capacity_search import Probe, SearchRules, next_probe, read_capacity

RULES = SearchRules(attainment=0.95, max_trials=30, misses=100, max_probe_s=1200.0)


def probe(rate: float, share: float, requests: int = 1000) -> Probe:
    return Probe(rate=rate, good=round(share * requests), attempted=requests, effective=requests)


def test_the_simulated_server_has_the_capacity_it_is_said_to_have() -> None:
    waits = ttft_s(TRUE_CAPACITY, 2_000_000, np.random.default_rng(0))
    assert abs(np.mean(waits <= 1.0) - 0.95) < 0.003


def test_the_search_finds_the_capacity_within_five_percent_and_its_interval_holds_it() -> None:
    found = [search(seed, RULES)[0] for seed in range(20)]
    close = [one.value is not None and abs(one.value / TRUE_CAPACITY - 1) <= 0.05 for one in found]
    held = [one.low is not None and one.low <= TRUE_CAPACITY <= (one.high or np.inf) for one in found]
    assert sum(close) >= 19
    assert sum(held) >= 19


def test_bisection_on_cold_probes_of_a_hundred_requests_overstates() -> None:
    assert np.median([naive_capacity(seed) for seed in range(200)]) > TRUE_CAPACITY * 1.1


def test_rates_double_while_all_is_good_and_halve_while_nothing_is() -> None:
    up, down = next_probe(RULES, [probe(1.0, 1.0)]), next_probe(RULES, [probe(1.0, 0.2)])
    assert (up and up.rate, down and down.rate) == (2.0, 0.5)


def test_a_bracket_is_halved_until_it_is_close() -> None:
    ask = next_probe(RULES, [probe(4.0, 1.0), probe(8.0, 0.5)])
    assert ask is not None
    assert round(ask.rate, 2) == 5.66


def test_the_search_stops_when_the_interval_is_narrow_or_the_trials_are_spent() -> None:
    assert next_probe(RULES, [probe(4.0, 0.99, 9000), probe(4.15, 0.9, 9000)]) is None
    assert next_probe(SearchRules(attainment=0.95, max_trials=1), [probe(1.0, 1.0)]) is None


def test_a_server_that_never_meets_the_limits_is_told_with_its_numbers() -> None:
    rules = SearchRules(attainment=0.95, start_rate=0.1)
    found = read_capacity(rules, [probe(0.1, 0.25)])
    assert next_probe(rules, [probe(0.1, 0.25)]) is None
    assert found.value is None
    assert "cannot meet the limits: at 0.1 req/s" in (found.note or "")
    assert "25.0%" in (found.note or "")


@given(st.lists(st.tuples(st.sampled_from([4.0, 5.0, 6.0, 7.0, 8.0]), st.integers(800, 1000)), min_size=2, max_size=9))
@example([(4.0, 960), (5.0, 940), (6.0, 990), (7.0, 900)])
def test_the_value_lies_between_what_was_shown_to_hold_and_what_was_not(seen: list[tuple[float, int]]) -> None:
    found = read_capacity(RULES, [probe(rate, good / 1000) for rate, good in seen])
    low, high = found.low or 0.0, found.high or np.inf
    assert found.value is None or low > high or low <= found.value <= high


def test_the_fit_never_rises_and_crosses_the_target_at_the_value() -> None:
    found = read_capacity(RULES, [probe(7.0, 0.96), probe(7.2, 0.97), probe(7.6, 0.93), probe(8.0, 0.94)])
    shares = [share for _, share in found.fit]
    assert shares == sorted(shares, reverse=True)
    assert found.value is not None
    assert 7.0 < found.value < 8.0
