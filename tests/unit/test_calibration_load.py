"""A benchmark's load, squeezed into a second and a half: the same arrivals, pace and chunks per second."""

from dataclasses import replace

import numpy as np
import pytest
from calibration_samples import answers, record_of
from record_samples import S, one_request

from tokenforge.bench.calibration.chunks import ChunkBook
from tokenforge.bench.calibration.load import Load, Repeat, hardest, observed_load, repeat_of
from tokenforge.bench.driver.answer import Answer
from tokenforge.bench.driver.http1 import ResponseFramer
from tokenforge.domain.record import Outcome

WINDOW_S = 1.5


def load(rate: float, *, ttft_s: float = 0.1, itl_s: float = 0.02, chunks: int = 128) -> Load:
    """A minute of Poisson arrivals."""
    gaps = np.random.default_rng(5).exponential(S / rate, int(rate * 60))
    at_ns = tuple(int(at) for at in np.cumsum(gaps))
    return Load(at_ns=at_ns, concurrency=None, ttft_s=ttft_s, itl_s=itl_s, chunks=chunks, prompt_tokens=16)


def repeated(one: Load) -> Repeat:
    repeat = repeat_of(one, window_s=WINDOW_S)
    assert repeat is not None
    return repeat


def test_pace_and_length_are_read_off_the_records() -> None:
    seen = observed_load([record_of(answer) for answer in answers(50)], concurrency=4)
    assert seen is not None
    assert (seen.concurrency, seen.chunks, seen.at_ns) == (4, 8, ())
    assert seen.ttft_s == pytest.approx(0.0205, abs=0.001)
    assert seen.itl_s == pytest.approx(0.005, abs=0.0005)


def test_arrivals_are_those_of_one_trial() -> None:
    records = [one_request(trial=t, index=i, scheduled_ns=i * S) for t in range(2) for i in range(3)]
    seen = observed_load(records, concurrency=None)
    assert seen is not None
    assert seen.at_ns == (0, S, 2 * S)


def test_without_one_whole_answer_there_is_no_load() -> None:
    assert observed_load([one_request(outcome=Outcome.TIMEOUT)], concurrency=None) is None
    assert hardest([]) is None


def test_of_several_runtimes_the_fastest_pace_counts() -> None:
    slow, fast = load(5), replace(load(5), ttft_s=0.01, itl_s=0.004)
    both = hardest([slow, fast])
    assert both is not None
    assert (both.ttft_s, both.itl_s) == (0.01, 0.004)


@pytest.mark.parametrize("rate", [5, 20, 100])
def test_chunks_per_second_stay_as_they_were(rate: float) -> None:
    one = load(rate, itl_s=0.02)
    repeat = repeated(one)
    mean = len(repeat.plan.requests) * repeat.chunks / WINDOW_S
    assert 0.9 * rate * one.chunks < mean < 1.6 * rate * one.chunks


@pytest.mark.parametrize("rate", [1, 5, 20, 100, 300])
@pytest.mark.parametrize("chunks", [1, 16, 1000])
def test_it_is_short_and_has_enough_requests(rate: float, chunks: int) -> None:
    repeat = repeated(load(rate, chunks=chunks))
    last = repeat.plan.requests[-1].at_ns
    assert last is not None
    assert last < WINDOW_S * S
    assert repeat.ttft_s + repeat.chunks * repeat.itl_s < 0.95
    assert 60 <= len(repeat.plan.requests) < 700


@pytest.mark.parametrize("at_ns", [(0,), (0, S), tuple(range(0, S, S // 20))])
def test_the_few_arrivals_of_a_short_trial_come_again(at_ns: tuple[int, ...]) -> None:
    times = [request.at_ns or 0 for request in repeated(replace(load(1), at_ns=at_ns, chunks=8)).plan.requests]
    assert 90 <= len(times) <= 160
    assert times == sorted(times)
    assert max(np.diff(times)) < 2 * S * WINDOW_S / len(times)


def test_a_fast_load_with_short_answers_is_repeated_as_it_was() -> None:
    one = load(200, ttft_s=0.02, itl_s=0.005, chunks=16)
    repeat = repeated(one)
    gaps = np.diff([request.at_ns or 0 for request in repeat.plan.requests])
    assert set(gaps) <= set(np.diff(one.at_ns))
    assert (repeat.ttft_s, repeat.itl_s, repeat.chunks) == (0.02, 0.005, 16)


def test_a_closed_loop_keeps_its_clients_and_its_pace() -> None:
    repeat = repeated(replace(load(1), concurrency=8, at_ns=(), itl_s=0.01))
    assert (repeat.plan.concurrency, repeat.plan.duration_s, repeat.itl_s) == (8, WINDOW_S, 0.01)
    assert {request.at_ns for request in repeat.plan.requests} == {None}
    assert 4 <= repeat.chunks < 70


def test_an_open_loop_without_arrivals_cannot_be_repeated() -> None:
    assert repeat_of(replace(load(1), at_ns=()), window_s=WINDOW_S) is None


@pytest.mark.parametrize("is_chat", [False, True])
@pytest.mark.parametrize("has_usage", [False, True])
def test_the_null_server_s_bytes_are_a_whole_answer_to_the_driver(is_chat: bool, has_usage: bool) -> None:
    book, framer, answer = ChunkBook(is_chat=is_chat, has_usage=has_usage), ResponseFramer(), Answer()
    framer.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    body = b"".join(framer.feed(book.token(i, is_last=i == 3)) for i in range(4)) + framer.feed(book.tail(4))
    answer.read([(event[6:], 0) for event in body.split(b"\n\n") if event])
    assert framer.done
    assert (answer.counted_tokens, answer.output_tokens, answer.finish_reason, answer.is_done) == (4, 4, "length", True)
