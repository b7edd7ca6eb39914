"""The load generator as an instrument: what it was asked, what it did, how wrong it is. One reading per run.

Over the trials of a run the worst value counts (a single bad trial spoils a comparison); shares and counts say of what.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenforge.analysis.arrival_test import ArrivalTest, arrival_test
from tokenforge.analysis.document import CalibrationFacts, RunFacts
from tokenforge.analysis.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentReading:
    """Lags in ms, the worst of the trials; absent in a closed loop. `arrivals` has a test per trial that could be made.

    `calibration` is None where none was made (it was switched off, or the benchmark ended early).
    """

    arrivals: tuple[ArrivalTest, ...]
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    merged_read_share: float | None
    processes: int | None
    cpu_share: float | None
    gc_pause_max_ms: float | None
    kernel_stamps: bool | None
    clock_steps: int | None
    retried: int | None
    scheduling: tuple[str, ...]
    calibration: CalibrationFacts | None


def read_instrument(run: RunFacts, trials: Sequence[Trial]) -> InstrumentReading:
    """Gather what the trials say of the load generator, and the calibration of their workload."""
    facts = [trial.facts for trial in trials if trial.facts is not None]
    tests = (arrival_test(trial.requests, run.workload) for trial in trials)
    stamps = [fact.kernel_stamps for fact in facts if fact.kernel_stamps is not None]
    steps = [fact.clock_steps for fact in facts if fact.clock_steps is not None]
    retried = [fact.retried for fact in facts if fact.retried is not None]
    return InstrumentReading(
        arrivals=tuple(test for test in tests if test is not None),
        lag_p50_ms=_worst(fact.lag_p50_ms for fact in facts),
        lag_p99_ms=_worst(fact.lag_p99_ms for fact in facts),
        lag_max_ms=_worst(fact.lag_max_ms for fact in facts),
        merged_read_share=_worst(fact.merged_read_share for fact in facts),
        processes=max((fact.processes for fact in facts if fact.processes is not None), default=None),
        cpu_share=_worst(fact.cpu_share for fact in facts),
        gc_pause_max_ms=_worst(fact.gc_pause_max_ms for fact in facts),
        kernel_stamps=all(stamps) if stamps else None,
        clock_steps=sum(steps) if steps else None,
        retried=sum(retried) if retried else None,
        scheduling=tuple(sorted({fact.scheduling for fact in facts if fact.scheduling})),
        calibration=run.calibration,
    )


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
