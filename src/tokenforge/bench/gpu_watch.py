"""What GPUs drew and held during a trial: sampled in a thread, summed when the trial is over.

Energy is told twice, by the card's own counter and by the integral of its power, because either may be wrong: counters
advance in steps, and power is a mean over the time before. Both are over the same span, from the first sample to the
last, so neither has edges that the other has not.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

from tokenforge.domain.benchmark_record import GpuReading

_EVERY_S = 0.05
_STOP_LIMIT_S = 5.0
_FEWEST = 3
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A card at a time (monotonic): energy since its driver was loaded, power, memory in use, share of busy time."""

    at_s: float
    energy_j: float | None
    power_w: float
    memory_bytes: int
    utilisation: float


class Card(Protocol):
    """Something that can be sampled."""

    @property
    def index(self) -> int:
        """The driver's number of it."""
        ...

    @property
    def name(self) -> str:
        """What the driver calls it."""
        ...

    def read(self) -> Sample | None:
        """What it says now; None when it does not."""
        ...


FindCards = Callable[[], Sequence[Card]]


def no_cards() -> Sequence[Card]:
    """A machine without GPUs."""
    return ()


def watch_gpus(find: FindCards, *, url: str) -> "GpuWatch":
    """A watch over this machine's cards for a server at `url`; over none where the server is on another machine."""
    return GpuWatch(find() if urlsplit(url).hostname in _HERE else ())


class GpuWatch:
    """Samples all cards while it is open; `readings` once it is closed."""

    def __init__(self, cards: Sequence[Card], *, every_s: float = _EVERY_S) -> None:
        self._cards = cards
        self._every_s = every_s
        self._samples: list[list[Sample]] = [[] for _ in cards]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-watch", daemon=True) if cards else None

    def __enter__(self) -> "GpuWatch":
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_LIMIT_S)

    def readings(self) -> tuple[GpuReading, ...]:
        """One a card that was sampled often enough to tell of."""
        pairs = zip(self._cards, self._samples, strict=True)
        return tuple(found for card, samples in pairs if (found := summed(card, samples)) is not None)

    def _run(self) -> None:
        while True:
            for card, samples in zip(self._cards, self._samples, strict=True):
                if (sample := card.read()) is not None:
                    samples.append(sample)
            if self._stop.wait(self._every_s):
                return


def summed(card: Card, samples: Sequence[Sample]) -> GpuReading | None:
    """The samples of one card as a reading; None with fewer than three."""
    if len(samples) < _FEWEST:
        return None
    first, last = samples[0], samples[-1]
    has_counter = first.energy_j is not None and last.energy_j is not None
    integral = sum((b.at_s - a.at_s) * (a.power_w + b.power_w) / 2 for a, b in pairwise(samples))
    return GpuReading(
        index=card.index,
        name=card.name,
        samples=len(samples),
        sampled_s=last.at_s - first.at_s,
        counter_j=(last.energy_j or 0.0) - (first.energy_j or 0.0) if has_counter else None,
        integral_j=integral,
        memory_peak_bytes=max(sample.memory_bytes for sample in samples),
        utilisation=sum(sample.utilisation for sample in samples) / len(samples),
    )
