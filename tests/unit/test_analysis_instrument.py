"""What calibration and the driver's own reading say against a run: each fault by its code, honest clients by none."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from calibration_samples import answers, record_of
from record_samples import MS, Engine, Load, sample

from tokenforge.analysis.figures import Level, RunSummary, Validity
from tokenforge.analysis.summary import summarise
from tokenforge.bench.calibration.compare import compare, stamp_error
from tokenforge.domain.calibration import Calibration, CalibrationLoad
from tokenforge.domain.canonical import to_plain
from tokenforge.store.requests_table import RequestsFile

VLLM = Engine(runtime="vllm")


def calibration(*, late_ns: int = 0, blur_ns: int = 0, cause: str | None = None) -> dict[str, Any]:
    """What a comparison with a null server finds whose log is off by `late_ns`, as JSON."""
    truth = answers(100)
    found = compare([record_of(answer, late_ns=late_ns, blur_ns=blur_ns) for answer in truth], truth)
    load = CalibrationLoad(
        requests_per_s=5, chunks_per_s=80, chunks_per_answer=16, ttft_ms=40, itl_ms=8, concurrency=None
    )
    made = Calibration(
        workload="qa-short",
        cause=cause,
        load=load,
        processes=1,
        requests=found.matched,
        ttft_error=None if cause else stamp_error(found.ttft_ns),
        itl_error=None if cause else stamp_error(found.itl_ns),
    )
    plain = to_plain(made)
    assert isinstance(plain, dict)
    return plain


def clean_record(engine: Engine) -> tuple[dict[str, Any], RequestsFile]:
    """A record that may be edited."""
    document, table = sample([engine], [Load()])
    return dict(document), table


def run_with(
    found: dict[str, Any] | None = None,
    *,
    engine: Engine = VLLM,
    driver: Mapping[str, object] = MappingProxyType({}),
) -> RunSummary:
    """A clean run with this calibration, and these words of the driver in every trial."""
    document, table = clean_record(engine)
    document["calibration"] = [] if found is None else [found]
    for trial in document["runs"][0]["trials"]:
        trial["driver"].update(driver)
    return summarise(document, table).runs[0]


def levels(run: RunSummary) -> dict[str, Level]:
    return {reason.code: reason.level for reason in run.reasons}


def test_an_honest_client_is_not_accused() -> None:
    run = run_with(calibration())
    assert levels(run) == {}
    assert run.verdict is Validity.VALID
    assert run.instrument.calibration is not None
    assert run.instrument.calibration.ttft_p99_ms == 0


def test_a_client_whose_ttft_is_wrong_by_20_ms_makes_the_run_invalid() -> None:
    run = run_with(calibration(late_ns=20 * MS))
    assert levels(run) == {"instrument_error": Level.INVALID}
    assert run.verdict is Validity.INVALID
    assert (run.reasons[0].numbers["metric"], run.reasons[0].numbers["error_p99_ms"]) == ("TTFT", 20)


def test_a_client_that_blurs_the_pace_is_wrong_in_itl_alone() -> None:
    run = run_with(calibration(blur_ns=3 * MS))
    assert [reason.numbers["metric"] for reason in run.reasons] == ["ITL"]


@pytest.mark.parametrize(("prefill_ms", "verdict"), [(40.0, Validity.INVALID), (160.0, Validity.VALID)])
def test_the_limit_grows_with_what_is_measured(prefill_ms: float, verdict: Validity) -> None:
    engine = Engine(runtime="vllm", prefill_ms=prefill_ms, cv=0.1)
    assert run_with(calibration(late_ns=5 * MS), engine=engine).verdict is verdict


def test_half_a_millisecond_is_within_the_floor() -> None:
    assert run_with(calibration(late_ns=MS // 2, blur_ns=MS // 2)).verdict is Validity.VALID


def test_a_calibration_that_failed_is_a_note_with_its_reason() -> None:
    run = run_with(calibration(cause="the null server did not start"))
    assert levels(run) == {"not_calibrated": Level.NOTE}
    assert "the null server did not start" in run.reasons[0].sentence
    assert run.verdict is Validity.VALID


def test_without_calibration_nothing_is_claimed() -> None:
    run = run_with(None)
    assert (levels(run), run.instrument.calibration) == ({}, None)


@pytest.mark.parametrize(
    ("driver", "code", "level"),
    [
        ({"merged_read_share": 0.2}, "merged_reads", Level.SUSPECT),
        ({"clock_steps": 1}, "clock_stepped", Level.NOTE),
        ({"gc_pause_max_ms": 40.0}, "gc_pause", Level.NOTE),
    ],
)
def test_what_the_driver_says_against_itself_is_told(driver: dict[str, object], code: str, level: Level) -> None:
    assert levels(run_with(driver=driver)) == {code: level}


@pytest.mark.parametrize("driver", [{"merged_read_share": 0.04}, {"gc_pause_max_ms": 3.0}, {"retried": 2}])
def test_small_matters_are_no_doubt(driver: dict[str, object]) -> None:
    assert levels(run_with(driver=driver)) == {}


def test_a_record_of_before_has_no_instrument_values_and_stays_readable() -> None:
    document, table = clean_record(VLLM)
    del document["calibration"]
    for trial in document["runs"][0]["trials"]:
        trial["driver"] = {"cpu_share": 0.2}
    reading = summarise(document, table).runs[0].instrument
    assert (reading.lag_p99_ms, reading.kernel_stamps, reading.clock_steps, reading.scheduling) == (
        None,
        None,
        None,
        (),
    )
    assert len(reading.arrivals) == 5
