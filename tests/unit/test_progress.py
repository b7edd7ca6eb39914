"""What a person sees while a benchmark runs."""

import io

import pytest
from rich.console import Console

from tokenforge.bench.driver.job import Progress
from tokenforge.bench.observe import TrialStart
from tokenforge.cli.progress import LiveProgress, PlainProgress

START = TrialStart(
    runtime="sim@1", workload="chat", trial=0, trials=3, position=1, positions=6, requests=40, expected_s=10.0
)


def a_reading(elapsed_s: float = 2.0) -> Progress:
    return Progress(
        elapsed_s=elapsed_s, sent=20, finished=12, errors=1, in_flight=8, output_tokens=300, ttft_recent_p50_ms=12.34,
        lag_p99_ms=0.5,
    )  # fmt: skip


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_plain_lines_say_each_phase_once() -> None:
    out = io.StringIO()
    plain = PlainProgress(out)
    for _ in range(3):
        plain.phase("vllm", "loading")
    plain.phase("vllm", "ready")
    assert out.getvalue() == "vllm: loading\nvllm: ready\n"


def test_plain_readings_come_every_ten_seconds_and_only_in_a_trial() -> None:
    out, clock = io.StringIO(), Clock()
    plain = PlainProgress(out, clock=clock)
    plain.progress(a_reading())
    plain.trial_started(START)
    for second in range(25):
        clock.now_s = float(second)
        plain.progress(a_reading(second))
    assert out.getvalue().count("in flight 8") == 2


def test_a_finished_trial_is_one_line_with_its_place_and_failures() -> None:
    out = io.StringIO()
    PlainProgress(out).trial_finished(START, requests=40, errors=3)
    assert out.getvalue() == "[2/6] chat on sim@1, trial 1: 40 requests, 3 failed\n"


def test_the_live_display_shows_rate_tokens_and_errors() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with LiveProgress(console) as live:
        live.trial_started(START)
        live.progress(a_reading())
        console.print(live._render())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(
        words in shown for words in ("20/40 (10.0/s)", "in flight 8", "150 tok/s", "12.3 ms", "8 s of arrivals left")
    )


@pytest.mark.parametrize(
    ("elapsed_s", "words"), [(4.0, "6 s of arrivals left"), (12.0, "waiting for the last answers")]
)
def test_the_time_left_counts_down_to_the_last_answers(elapsed_s: float, words: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with LiveProgress(console) as live:
        live.trial_started(START)
        live.progress(a_reading(elapsed_s))
        console.print(live._render())
    assert words in console.file.getvalue()  # type: ignore[attr-defined]
