"""What a person sees while a benchmark runs: a live display in a terminal, plain lines anywhere else."""

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tokenforge.bench.driver.job import Progress as Reading
from tokenforge.bench.observe import TrialStart

_PLAIN_EVERY_S = 10.0


class LiveProgress:
    """A live display: finished trials above, the current phase or trial with its readings below. Use as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phases: dict[str, tuple[str, float]] = {}
        self._start: TrialStart | None = None
        self._reading: Reading | None = None
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=40), TextColumn("{task.percentage:>3.0f} %")
        )
        self._whole = self._bar.add_task("all trials", total=1)
        self._live = Live(self._render(), console=console, refresh_per_second=8, get_renderable=self._render)

    def __enter__(self) -> "LiveProgress":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._phases.clear()
        self._start = None
        self._live.stop()

    def phase(self, subject: str, text: str) -> None:
        """Show what `subject` is doing, with the time it takes."""
        self._phases[subject] = (text, time.monotonic())

    def trial_started(self, start: TrialStart) -> None:
        """Show the trial instead of the phases."""
        self._phases.clear()
        self._start = start
        self._reading = None
        self._bar.update(self._whole, total=start.positions, completed=start.position)

    def progress(self, progress: Reading) -> None:
        """Take the newest reading."""
        self._reading = progress

    def trial_finished(self, start: TrialStart, *, requests: int, errors: int) -> None:
        """Leave one line behind."""
        self._bar.update(self._whole, completed=start.position + 1)
        self._start = None
        self._console.print(_finished_line(start, requests=requests, errors=errors))

    def _render(self) -> RenderableType:
        now = time.monotonic()
        lines: list[RenderableType] = [
            Text.assemble((subject, "bold"), f"  {text}  ", (f"{now - since:.0f} s", "dim"))
            for subject, (text, since) in self._phases.items()
        ]
        if self._start is not None:
            lines += [_trial_table(self._start, self._reading), self._bar]
        return Group(*lines)


class PlainProgress:
    """One line per phase and per trial, and one every ten seconds within a trial, for logs and pipes."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._last: tuple[str, str] = ("", "")
        self._next_s = math.inf

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def phase(self, subject: str, text: str) -> None:
        """Print it once."""
        if (subject, text) != self._last:
            self._last = (subject, text)
            self._say(f"{subject}: {text}")

    def trial_started(self, start: TrialStart) -> None:
        """Nothing yet; the next reading or the end speaks."""
        self._next_s = self._clock() + _PLAIN_EVERY_S

    def progress(self, progress: Reading) -> None:
        """Print a reading every ten seconds."""
        if self._clock() >= self._next_s:
            self._next_s += _PLAIN_EVERY_S
            self._say(f"  {_reading_line(progress)}")

    def trial_finished(self, start: TrialStart, *, requests: int, errors: int) -> None:
        """Print the trial's line."""
        self._next_s = math.inf
        self._say(_finished_line(start, requests=requests, errors=errors))

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _finished_line(start: TrialStart, *, requests: int, errors: int) -> str:
    place = f"[{start.position + 1}/{start.positions}]"
    failed = f", {errors} failed" if errors else ""
    return f"{place} {start.workload} on {start.runtime}, trial {start.trial + 1}: {requests} requests{failed}"


def _reading_line(reading: Reading) -> str:
    ttft = "-" if reading.ttft_recent_p50_ms is None else f"{reading.ttft_recent_p50_ms:.0f} ms"
    return (
        f"{reading.elapsed_s:.0f} s: sent {reading.sent}, in flight {reading.in_flight}, finished {reading.finished}, "
        f"errors {reading.errors}, tokens {reading.output_tokens}, TTFT {ttft}"
    )


def _trial_table(start: TrialStart, reading: Reading | None) -> Table:
    table = Table.grid(padding=(0, 3))
    title = f"{start.workload} on {start.runtime}"
    table.add_row(Text(title, style="bold"), f"trial {start.trial + 1} of {start.trials}", _time_left(start, reading))
    if reading is not None:
        elapsed = max(reading.elapsed_s, 1e-9)
        ttft = "-" if reading.ttft_recent_p50_ms is None else f"{reading.ttft_recent_p50_ms:.1f} ms"
        table.add_row(
            f"sent {reading.sent}/{start.requests} ({reading.sent / elapsed:.1f}/s)",
            f"in flight {reading.in_flight}",
            f"finished {reading.finished}",
        )
        table.add_row(
            f"output {reading.output_tokens / elapsed:.0f} tok/s",
            f"TTFT p50 {ttft}",
            Text(f"errors {reading.errors}", style="bold red" if reading.errors else ""),
        )
    return table


def _time_left(start: TrialStart, reading: Reading | None) -> str:
    if start.expected_s is None:
        return ""
    left = start.expected_s - (0 if reading is None else reading.elapsed_s)
    return f"{left:.0f} s of arrivals left" if left > 0 else "waiting for the last answers"
