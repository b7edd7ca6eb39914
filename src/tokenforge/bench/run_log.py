"""What one run gathers while its benchmark goes on: its trials, their records, how it ended."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from tokenforge.bench.driver.job import DriveResult
from tokenforge.bench.targets import Target
from tokenforge.bench.trial_records import TrialRecords
from tokenforge.domain.benchmark_record import GpuReading, ServerReading, TrialRecord
from tokenforge.domain.errors import RunInterrupted, TokenForgeError, WorkerFailed
from tokenforge.domain.moments import moment_text
from tokenforge.domain.plan import TrialPlan
from tokenforge.domain.run import RunStatus
from tokenforge.domain.workload import Workload
from tokenforge.protocol.withdrawn import RunName


@dataclass(slots=True, kw_only=True)
class RunLog:
    """What one run (a workload on a target) has gathered so far; `starts` counts its engine's restarts."""

    target: Target
    workload: Workload
    status: RunStatus = RunStatus.QUEUED
    cause: str | None = None
    cause_code: str | None = None
    last_words: tuple[str, ...] = ()
    trials: list[TrialRecord] = field(default_factory=list)
    recorded: list[TrialRecords] = field(default_factory=list)
    starts: int = 0

    def keep(
        self,
        plan: TrialPlan,
        result: DriveResult,
        *,
        position: int,
        began: datetime,
        notes: tuple[str, ...] = (),
        server: ServerReading | None = None,
        idle_cpu_share: float | None = None,
        gpus: tuple[GpuReading, ...] = (),
    ) -> TrialRecord:
        """Add what one trial recorded, whole or broken, and what server and GPUs said of themselves in it."""
        record = TrialRecord(
            trial=plan.trial,
            position=position,
            seed=plan.seed,
            plan_digest=plan.digest,
            planned_requests=len(plan.requests),
            started_at=moment_text(began),
            duration_s=result.recorded.last_end_ns / 1e9,
            notes=(*plan.notes, *notes),
            driver=result.reading,
            server=server,
            engine_start=self.starts,
            idle_cpu_share=idle_cpu_share,
            gpus=gpus,
        )
        self.restore(record, result.recorded)
        return record

    def restore(self, record: TrialRecord, recorded: TrialRecords) -> None:
        """Add a trial as it was recorded, now or by an earlier attempt."""
        self.trials.append(record)
        self.recorded.append(recorded)

    @property
    def name(self) -> RunName:
        """What names it in its benchmark."""
        return RunName(model=self.target.model, runtime=self.target.runtime, workload=self.workload.name)

    def withdraw(self) -> None:
        """Close the run because nobody wants it any more."""
        self.status, self.cause = RunStatus.CANCELLED, "cancelled; the other runs of its benchmark went on"

    def fail(self, error: BaseException) -> None:
        """Close the run with the error's kind and words."""
        interrupted = isinstance(error, RunInterrupted | asyncio.CancelledError)
        self.status = RunStatus.INTERRUPTED if interrupted else RunStatus.FAILED
        self.cause = str(error) or "interrupted before its plan was done"
        self.cause_code = error.code if isinstance(error, TokenForgeError) else None
        self.last_words = error.last_words if isinstance(error, WorkerFailed) else ()
