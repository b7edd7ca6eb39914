"""The load generator harness: what a client reported against what the server says happened."""

from array import array

import numpy as np
import pytest
from harness_samples import MS, seen_request, true_answer

from harness.compare import arrival_p, arrival_rate, errors, match, server_late_ms, stream_rate
from harness.truth import read_log
from tokenforge.bench.chance import stream


def log_of(*answers: tuple[int, ...]) -> bytes:
    """A truth server's log."""
    return array("q", [number for answer in answers for number in answer]).tobytes()


def test_a_log_is_read_answer_by_answer() -> None:
    first, second = read_log(log_of((7, 1, 100, 400, 2, 200, 300), (8, 1, 500, 600, 0)))
    assert (first.prompt, first.connection, first.arrival_ns, first.end_ns) == (7, 1, 100, 400)
    assert first.sent_ns == (200, 300)
    assert (second.prompt, second.sent_ns) == (8, ())


@pytest.mark.parametrize("cut", [1, 8, 16, 20, 24])
def test_an_answer_cut_at_the_end_of_a_log_is_left_out(cut: int) -> None:
    data = log_of((7, 1, 100, 400, 1, 200), (8, 1, 500, 900, 2, 600, 700))
    assert [answer.prompt for answer in read_log(data[:-cut])] == [7]


def test_a_client_that_sees_exactly_has_no_error() -> None:
    found = errors([(seen_request(), true_answer())])
    assert (found.ttft_p99_ms, found.service_ttft_p99_ms, found.gap_p99_ms, found.late_p99_ms) == (0, 0, 0, 0)
    assert (found.matched, found.has_zero, found.by_gap) == (1, True, True)


def test_waiting_in_the_client_is_no_error_from_its_own_zero_but_one_of_the_server_s_time() -> None:
    pair = (seen_request(zero_ms=0, ttft_ms=80), true_answer(arrival_ms=30))
    found = errors([pair])
    assert found.ttft_p50_ms == 0
    assert found.service_ttft_p50_ms == 30
    assert found.late_p50_ms == 30


def test_a_client_without_a_zero_is_compared_from_the_arrival() -> None:
    found = errors([(seen_request(zero_ms=None, ttft_ms=53), true_answer(arrival_ms=30))])
    assert found.ttft_p50_ms == found.service_ttft_p50_ms == 3
    assert (found.has_zero, found.late_p99_ms) == (False, None)


def test_gaps_are_compared_one_by_one() -> None:
    found = errors([(seen_request(gaps_ms=(10, 30, 0)), true_answer())])
    assert found.gap_p50_ms == 10
    assert found.gap_p99_ms == pytest.approx(20, rel=0.02)


def test_means_of_gaps_are_compared_with_means() -> None:
    seen = seen_request(gaps_ms=())
    found = errors([(type(seen)(prompt=0, zero_ns=0, ttft_ms=50, gap_ms=12), true_answer())])
    assert (found.gap_p50_ms, found.by_gap) == (2, False)


def test_with_other_than_the_true_number_of_gaps_there_is_nothing_to_compare() -> None:
    assert errors([(seen_request(gaps_ms=(10, 10)), true_answer())]).gap_p99_ms is None


def test_nothing_to_compare_gives_no_numbers() -> None:
    found = errors([])
    assert (found.matched, found.has_zero, found.ttft_p99_ms, found.late_p99_ms) == (0, False, None, None)


def test_requests_are_matched_by_prompt_and_the_last_answer_to_it_counts() -> None:
    answers = [true_answer(0, arrival_ms=0), true_answer(1, arrival_ms=20), true_answer(0, arrival_ms=10)]
    pairs = match([seen_request(1), seen_request(0)], answers)
    assert [(seen.prompt, true.arrival_ns // MS) for seen, true in pairs] == [(1, 20), (0, 10)]


def test_without_prompts_the_nth_sent_is_the_nth_to_arrive_after_what_came_before_the_load() -> None:
    seen = [seen_request(None, zero_ms=25), seen_request(None, zero_ms=15)]
    answers = [true_answer(-1, arrival_ms=at) for at in (30, 0, 20)]
    pairs = match(seen, answers)
    assert [(s.zero_ns, true.arrival_ns) for s, true in pairs] == [(15 * MS, 20 * MS), (25 * MS, 30 * MS)]


def test_the_arrival_rate_is_between_the_first_and_the_last() -> None:
    assert arrival_rate([true_answer(arrival_ms=at) for at in (200, 0, 100)]) == pytest.approx(10)
    assert arrival_rate([true_answer()]) is None


def test_poisson_arrivals_pass_the_test_and_constant_ones_fail() -> None:
    poisson = np.cumsum(stream(1, "arrivals").exponential(0.01, size=1000)) * 1e9
    constant = np.arange(1000) * 1e7
    assert (arrival_p(poisson.astype(int).tolist(), rate=100) or 0) > 0.05
    assert (arrival_p(constant.astype(int).tolist(), rate=100) or 0) < 1e-9


def test_gamma_arrivals_are_tested_against_their_own_shape() -> None:
    times = (np.cumsum(stream(1, "arrivals").gamma(0.5, 0.02, size=1000)) * 1e9).astype(int).tolist()
    assert (arrival_p(times, rate=100, shape=0.5) or 0) > 0.05
    assert (arrival_p(times, rate=100) or 0) < 1e-9


def test_too_few_arrivals_are_not_tested() -> None:
    assert arrival_p(list(range(10)), rate=100) is None


@pytest.mark.parametrize("starts_ms", [(0, 0, 1000, 1000, 2000, 2000), (0, 500, 1000, 1500, 2000, 2500)])
def test_the_stream_rate_is_that_of_the_time_a_stream_takes_in_step_or_not(starts_ms: tuple[int, ...]) -> None:
    answers = [true_answer(arrival_ms=start, tokens=100) for start in starts_ms]
    assert stream_rate(answers, streams=2) == pytest.approx(200)


def test_a_closed_loop_of_one_round_has_no_rate() -> None:
    assert stream_rate([true_answer(), true_answer()], streams=2) is None


def test_a_punctual_server_is_not_late_and_a_stalled_one_is() -> None:
    assert server_late_ms([true_answer()], ttft_us=50_000, itl_us=10_000) == 0
    assert server_late_ms([true_answer(ttft_ms=57)], ttft_us=50_000, itl_us=10_000) == pytest.approx(7)
    assert server_late_ms([], ttft_us=50_000, itl_us=10_000) is None
