"""What the driver is asked, what it tells while it runs, and what it hands back."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenforge.bench.journal import read_journal
from tokenforge.bench.trial_records import TrialRecords
from tokenforge.domain.benchmark_record import DriverReading
from tokenforge.domain.errors import TokenForgeError
from tokenforge.domain.plan import TrialPlan
from tokenforge.domain.record import RequestRecord


class Endpoint(enum.StrEnum):
    """Which OpenAI endpoint the requests go to."""

    COMPLETIONS = "completions"
    CHAT = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveJob:
    """One trial to offer.

    `url` is `http(s)://host:port[/base]`; requests go to `{base}/v1/completions` or `{base}/v1/chat/completions`.
    `exact_output` sends `ignore_eos`, so outputs have the planned length; `continuous_usage` asks for
    usage in every chunk, so the tokens of a chunk are known. `headers` may hold secrets: they are never logged, and
    reach the child in an unnamed file. `folder` is where the journals go. After the last request was sent, answers are
    waited for `drain_s`; what is open then is recorded as cancelled.
    """

    url: str
    model: str
    plan: TrialPlan
    endpoint: Endpoint
    temperature: float
    exact_output: bool
    continuous_usage: bool
    request_timeout_s: float
    drain_s: float
    headers: Mapping[str, str]
    folder: Path
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a trial stands, summed over the driver processes. `output_tokens` are those read so far.

    `ttft_recent_p50_ms` is over the last requests that ended (from the schedule in an open loop); `lag_p99_ms` over all
    sent ones that ended, None in a closed loop. `ended` are the records of requests that ended since the last look, as
    their journals hold them (`bench.record_bytes`).
    """

    elapsed_s: float
    sent: int
    finished: int
    errors: int
    in_flight: int
    output_tokens: int
    ttft_recent_p50_ms: float | None
    lag_p99_ms: float | None
    ended: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveResult:
    """What was recorded of every request that was sent, and what the driver says of itself.

    Stamps count from `origin_ns` of this machine's monotonic clock. `notes` are for whoever reads the trial's record.
    """

    recorded: TrialRecords
    reading: DriverReading
    origin_ns: int
    notes: tuple[str, ...] = ()

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The records as objects, by index; read from the journals at each look, so for small trials."""
        return self.recorded.records()


class DriverFailed(TokenForgeError):
    """A driver process ended before its work was done. Its `journals` keep what was recorded until then."""

    code = "driver_failed"

    def __init__(
        self, message: str, *, hint: str = "", journals: tuple[Path, ...] = (), last_words: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.journals = journals
        self.last_words = last_words

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The kept records as objects, by index; read from the journals at each look."""
        kept = [record for path in self.journals for record in read_journal(path)]
        return tuple(sorted(kept, key=lambda record: record.index))


class DriverLost(DriverFailed):
    """A driver went away from outside: its machine, its pod. What it was to measure can be measured again, whole."""

    code = "driver_lost"
