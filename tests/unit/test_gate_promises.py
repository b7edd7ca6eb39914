"""What the gate promises, by simulation: seeded, in no time, 200 repeats of 5 earlier runs with 5 trials each."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from gate_samples import drawn, gate

from tokenforge.analysis.gate import Gate
from tokenforge.analysis.gate_metric import GateVerdict

REPEATS = 200
EQUAL = [100.0] * 6


def gates(levels: Sequence[float], *, loop: str = "closed", between: float = 0.02, within: float = 0.02) -> list[Gate]:
    chance = np.random.default_rng(11)
    return [gate(drawn(chance, levels, loop=loop, between=between, within=within)) for _ in range(REPEATS)]


def share(found: Sequence[Gate], verdict: GateVerdict) -> float:
    return Counter(one.verdict for one in found)[verdict] / REPEATS


@pytest.mark.parametrize("loop", ["closed", "open"])
@pytest.mark.parametrize("between", [0.0, 0.02, 0.05])
def test_equal_runs_are_called_regressed_in_at_most_5_percent(loop: str, between: float) -> None:
    assert share(gates(EQUAL, loop=loop, between=between), GateVerdict.REGRESSED) <= 0.05


def test_equal_single_runs_are_called_regressed_in_at_most_5_percent() -> None:
    assert share(gates([100.0, 100.0]), GateVerdict.REGRESSED) <= 0.05


def test_ten_percent_less_throughput_is_found_in_at_least_90_percent() -> None:
    assert share(gates([*EQUAL[:5], 90.0]), GateVerdict.REGRESSED) >= 0.9


def test_ten_percent_more_latency_is_found_in_at_least_90_percent_with_10_earlier_runs() -> None:
    assert share(gates([100.0] * 10 + [110.0], loop="open"), GateVerdict.REGRESSED) >= 0.9


@pytest.mark.parametrize("loop", ["closed", "open"])
def test_equal_runs_with_little_noise_are_cleared_in_at_least_90_percent(loop: str) -> None:
    found = gates(EQUAL, loop=loop, between=0.005, within=0.01)
    assert share(found, GateVerdict.NOT_REGRESSED) >= 0.9


@pytest.mark.parametrize("level", [90.0, 95.0])
def test_a_loss_as_large_as_the_margin_is_cleared_in_at_most_5_percent(level: float) -> None:
    assert share(gates([*EQUAL[:5], level]), GateVerdict.NOT_REGRESSED) <= 0.05


@pytest.mark.parametrize("before", [90.0, 110.0])
def test_a_change_of_10_percent_in_the_history_does_not_accuse_a_run_like_the_newest(before: float) -> None:
    assert share(gates([before] * 5 + EQUAL), GateVerdict.REGRESSED) <= 0.05


def test_a_change_of_10_percent_in_the_history_does_not_hide_10_percent() -> None:
    assert share(gates([90.0] * 5 + EQUAL[:5] + [90.0]), GateVerdict.REGRESSED) >= 0.85


def test_an_improvement_is_no_regression() -> None:
    found = gates([*EQUAL[:5], 115.0], between=0.01)
    assert share(found, GateVerdict.NOT_REGRESSED) >= 0.95
