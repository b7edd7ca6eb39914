"""An engine without work that works all the same is found."""

from dataclasses import dataclass, field

import pytest
from comparison_samples import compared, verdict

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.figures import Validity
from tokenforge.analysis.summary import summarise
from tokenforge.bench.idle import IdleWatch


@dataclass
class Meter:
    """A worker whose CPU seconds are those given, reading by reading."""

    readings: list[float | None] = field(default_factory=list)

    def cpu_s(self) -> float | None:
        return self.readings.pop(0)


def test_cpu_time_of_all_idle_engines_is_added_up() -> None:
    watch = IdleWatch([Meter([10.0, 10.0]), Meter([5.0, 1e6])])
    share = watch.cpu_share()
    assert share is not None
    assert share > 1000


@pytest.mark.parametrize("workers", [[], [None], [Meter([1.0, 2.0]), None], [Meter([1.0, None])]])
def test_what_cannot_be_read_is_unknown(workers: list[object]) -> None:
    assert IdleWatch(workers).cpu_share() is None


def test_an_engine_whose_clock_goes_back_used_nothing() -> None:
    assert IdleWatch([Meter([5.0, 4.0])]).cpu_share() == 0.0


@pytest.mark.parametrize(
    ("share", "validity"), [(0.01, Validity.VALID), (0.2, Validity.SUSPECT), (0.9, Validity.INVALID)]
)
def test_a_busy_neighbour_makes_a_run_suspect_and_a_very_busy_one_invalid(share: float, validity: Validity) -> None:
    document, requests = compared()
    document["runs"][0]["trials"][3]["idle_cpu_share"] = share  # type: ignore[index]
    run = summarise(document, requests).runs[0]
    assert run.verdict is validity
    assert ("idle_engine_busy" in [one.code for one in run.reasons]) == (validity is not Validity.VALID)


def test_a_comparison_beside_a_very_busy_neighbour_has_no_winner() -> None:
    document, requests = compared()
    document["runs"][0]["trials"][3]["idle_cpu_share"] = 0.9  # type: ignore[index]
    found = verdict(document, requests)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "0.90 of a core" in found.validity_sentence
