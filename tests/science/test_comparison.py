"""Is a comparison's verdict right as often as it says? Asked of two engines whose difference is known."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from comparison_samples import CLOSED, A, B, compared, verdict
from quad_samples import Machine, contest, sequential

from tokenforge.analysis.compare import Paired, Verdict

pytestmark = pytest.mark.science

REPEATS = 400
QUIET, NOISY = Machine(), Machine(climb=0.01, wander=0.03, noise=0.02)
MACHINES = [pytest.param(QUIET, id="quiet"), pytest.param(NOISY, id="noisy")]
DIFFERENT = {Verdict.BETTER, Verdict.WORSE}


def repeats(seed: int, *, factor: float, machine: Machine) -> list[Paired]:
    return [contest(seed * 100_000 + number, factor=factor, machine=machine) for number in range(REPEATS)]


def share(found: list[Paired], *verdicts: Verdict) -> float:
    return sum(one.verdict in verdicts for one in found) / len(found)


@pytest.mark.parametrize("machine", MACHINES)
def test_equal_engines_are_called_different_as_seldom_as_promised(
    machine: Machine, seed: int, show: Callable[[str], None]
) -> None:
    wrong = share(repeats(seed, factor=1.0, machine=machine), *DIFFERENT)
    show(f"A/A, {machine}: {wrong:.1%} of {REPEATS} called different")
    assert wrong <= 0.08


@pytest.mark.parametrize("machine", MACHINES)
def test_the_interval_holds_8_percent(machine: Machine, seed: int, show: Callable[[str], None]) -> None:
    found = repeats(seed, factor=1.08, machine=machine)
    holds = sum((one.low or 0) <= 1.08 <= (one.high or 0) for one in found) / REPEATS
    show(f"B 8 % slower, {machine}: worse {share(found, Verdict.WORSE):.1%}, interval holds 8 % in {holds:.1%}")
    assert holds >= 0.91
    assert share(found, Verdict.BETTER) <= 0.01
    assert share(found, Verdict.WORSE) >= (0.95 if machine == QUIET else 0.3)


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_two_percent_is_equivalent_within_five(factor: float, seed: int, show: Callable[[str], None]) -> None:
    found = repeats(seed, factor=factor, machine=QUIET)
    show(f"B x {factor}, {QUIET}: equivalent {share(found, Verdict.EQUIVALENT):.1%}")
    assert share(found, Verdict.EQUIVALENT) >= 0.9


def test_a_difference_on_the_margin_is_seldom_called_equivalent(seed: int, show: Callable[[str], None]) -> None:
    wrong = share(repeats(seed, factor=1.05, machine=NOISY), Verdict.EQUIVALENT)
    show(f"B 5 % slower, margin 5 %, {NOISY}: called equivalent in {wrong:.1%}")
    assert wrong <= 0.08


def test_one_side_after_the_other_is_fooled_by_a_machine_that_wanders(seed: int, show: Callable[[str], None]) -> None:
    found = [sequential(seed * 100_000 + n, factor=1.0, trials=10, machine=NOISY) for n in range(REPEATS)]
    show(f"A/A one after the other, {NOISY}: {share(found, *DIFFERENT):.1%} called different")
    assert share(found, *DIFFERENT) > 0.3


def test_whole_records_of_equal_servers_are_seldom_called_different(seed: int, show: Callable[[str], None]) -> None:
    load, cv = replace(CLOSED, requests=30), 0.5
    found = [
        verdict(*compared(replace(A, cv=cv), replace(B, cv=cv), load=load, seed=seed * 1000 + number)).verdict
        for number in range(100)
    ]
    wrong = sum(one in DIFFERENT for one in found)
    show(f"A/A from whole records, 30 requests a trial of CV {cv}: {wrong} of 100 called different")
    assert wrong <= 12
