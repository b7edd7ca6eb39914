"""What the harness asks of a client: be installed, name the command for a load, read what it reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send: `requests` of `tokens` output tokens, at a Poisson `rate` per second or by `streams` clients."""

    requests: int
    tokens: int
    seed: int
    rate: float | None = None
    streams: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a client: the load, the server's address, and an empty folder of its own with `prompts`."""

    load: Load
    url: str
    folder: Path
    tokenizer: Path

    @property
    def prompts(self) -> Path:
        """JSONL, one prompt per request; the first number in a prompt is the request's."""
        return self.folder / "prompts.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, and what to add to the process environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """One completed request as the client reported it.

    `prompt` is its number, None when the client does not keep it. `zero_ns` is the moment from which the client counts
    its TTFT (monotonic ns: the schedule or its own send), None when it does not say. `gaps_ms` are the reported gaps
    between chunks; a client that reports only their mean gives `gap_ms`. `ttft_sent_ms` is the TTFT from the send,
    when that is another than `ttft_ms`.
    """

    prompt: int | None
    zero_ns: int | None
    ttft_ms: float
    gaps_ms: tuple[float, ...] = ()
    gap_ms: float | None = None
    ttft_sent_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a client's own output files say. `failed` requests are those it counts as not completed."""

    requests: tuple[SeenRequest, ...]
    failed: int = 0


class Client(Protocol):
    """A load generator. `bound_ms` is the error within which it has to stay for a rate to count as held.

    `first_rate` is where its ladder begins (requests/s), `stream_requests` how many requests its throughput trial has.
    `zero` says from when it counts its TTFT, for the notes of the table.
    """

    name: str
    bound_ms: float
    first_rate: float
    stream_requests: int
    zero: str

    def install(self, home: Home) -> str:
        """Make it ready and return its version. Raises CannotInstall."""
        ...

    def command(self, home: Home, job: Job) -> Command:
        """The command that offers the job's load; may write files into the job's folder."""
        ...

    def read(self, job: Job) -> Reported:
        """What it reported, once it has ended. Raises OSError, ValueError or KeyError when that cannot be read."""
        ...
