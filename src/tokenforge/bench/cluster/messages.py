"""What a benchmark and its driver pods say to each other, each as one small JSON object on a shelf.

Names: `share-N` (a job file), `ready-N`, `tick-R`, `tock-N-R`, `start-N`, `beat-N`, `alive`, `stop`, `journal-N`,
`done-N`; N is a pod's number, R a round of comparing clocks. `life` is the pod's uid: another pod of the same number is
another life, and has no part in what the first one began.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from tokenforge.bench.driver.job import Progress
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import InvalidInput, StoreFailed, TokenForgeError
from tokenforge.protocol.worker_spec import read_record
from tokenforge.store.shelf import Shelf

T = TypeVar("T")

ROUNDS = 8
"""How often clocks are compared: enough that one of them meets little of the poll's pause on either way."""

POLL_S = 0.02
BEAT_S = 1.0
SILENCE_S = 30.0
"""A side that was not heard of for so long is taken for gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A pod has its share and connections to its target. `scheduling` is how its kernel runs it."""

    life: str
    pod: str
    node: str
    version: str
    scheduling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tock:
    """The answer to a tick: when it was seen and answered, by the pod's monotonic clock."""

    life: str
    seen_ns: int
    answered_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The load begins at `origin_ns` of that pod's monotonic clock."""

    life: str
    origin_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Counters of a pod since the start, and how many beats there were before."""

    life: str
    number: int
    sent: int
    finished: int
    errors: int
    in_flight: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A pod has ended. Its journal is on the shelf, with this digest; `code` 0 is a good end."""

    life: str
    code: int
    sha256: str
    size_bytes: int
    last_words: tuple[str, ...] = ()


async def say(shelf: Shelf, name: str, message: object) -> None:
    """Lay a message down."""
    await shelf.put(name, json.dumps(to_plain(message)).encode())


async def hear(shelf: Shelf, name: str, kind: type[T]) -> T | None:
    """The message of that name; None where it is not there yet. Raises StoreFailed for what is none."""
    text = await shelf.get(name)
    if text is None:
        return None
    try:
        return read_record(kind, json.loads(text), source=name)
    except (ValueError, InvalidInput) as error:
        raise StoreFailed(f"{name} of a driver pod cannot be read: {error}") from error


async def pulse(shelf: Shelf) -> None:
    """Say that this process lives; pods end their load when it is silent."""
    number = 0
    while True:
        with contextlib.suppress(TokenForgeError):
            await shelf.put("alive", str(number).encode())
        number += 1
        await asyncio.sleep(2 * BEAT_S)


def progress_of(beats: Iterable[Beat], *, elapsed_s: float) -> Progress:
    """How the trial stands, summed over pods. Quantiles are known once the journals are here."""
    listed = list(beats)
    return Progress(
        elapsed_s=elapsed_s,
        sent=sum(beat.sent for beat in listed),
        finished=sum(beat.finished for beat in listed),
        errors=sum(beat.errors for beat in listed),
        in_flight=sum(beat.in_flight for beat in listed),
        output_tokens=sum(beat.tokens for beat in listed),
        ttft_recent_p50_ms=None,
        lag_p99_ms=None,
    )
