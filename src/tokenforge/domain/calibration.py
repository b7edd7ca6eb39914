"""Calibration: what the load generator's own error is, measured against a server of known truth. Absent is None.

One per workload of a benchmark, made on the machine that offered the load, after the trials. It is the instrument's
floor on a machine where no engine runs; what the trials themselves suffered is in each trial's `DriverReading`.
"""

from dataclasses import dataclass

CALIBRATION_SCHEMA = "tokenforge.calibration/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StampError:
    """What was read minus what was true, in ms. `p50_ms` keeps its sign; `p99_ms` and `max_ms` are of the size only."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLoad:
    """The load that was repeated: requests/s (of a closed loop: as they came), chunks per answer and second.

    `ttft_ms` and `itl_ms` are what the null server aimed at. `concurrency` is None in an open loop.
    """

    requests_per_s: float
    chunks_per_s: float
    chunks_per_answer: int
    ttft_ms: float
    itl_ms: float
    concurrency: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One workload. `cause` says in one sentence why there is no measurement; everything else is None or 0 then.

    TTFT errors count from the send; lag is beside them. `unsure_share` are chunks left out because the null server was
    itself held up while it handed them over, so that no exact time is true.
    """

    schema: str = CALIBRATION_SCHEMA
    workload: str
    cause: str | None = None
    load: CalibrationLoad | None = None
    processes: int = 0
    requests: int = 0
    ttft_error: StampError | None = None
    itl_error: StampError | None = None
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None
    lag_max_ms: float | None = None
    merged_read_share: float | None = None
    kernel_stamps: bool | None = None
    unsure_share: float | None = None
