"""Paired comparison: right verdicts at the rates that were promised."""

from collections.abc import Mapping

import numpy as np
import pytest
from record_samples import Engine, sample

from tokenforge.analysis.compare import Paired, Verdict, compare_paired
from tokenforge.analysis.summary import summarise

SEEDS = range(20)


def pair(*, factor: float, seed: int, trials: int = 5, noise: float = 0.02) -> Paired:
    """Trials that share the machine's drift, and each have a noise of their own."""
    chance = np.random.default_rng(seed)
    drift = chance.normal(0, 0.2, trials)
    a: Mapping[int, float] = dict(enumerate(np.exp(drift + chance.normal(0, noise, trials)).tolist()))
    b: Mapping[int, float] = dict(enumerate((factor * np.exp(drift + chance.normal(0, noise, trials))).tolist()))
    return compare_paired(a, b, higher_is_better=False)


def test_equal_engines_are_rarely_called_different() -> None:
    verdicts = [pair(factor=1.0, seed=seed).verdict for seed in SEEDS]
    assert sum(v in {Verdict.BETTER, Verdict.WORSE} for v in verdicts) <= 2


def test_an_engine_that_is_8_percent_slower_is_found_and_its_interval_holds() -> None:
    found = [pair(factor=1.08, seed=seed, noise=0.01) for seed in SEEDS]
    assert sum(one.verdict is Verdict.WORSE for one in found) >= 18
    assert sum(one.low <= 1.08 <= one.high for one in found if one.low is not None and one.high is not None) >= 18


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_two_percent_is_equivalent_within_five(factor: float) -> None:
    verdicts = [pair(factor=factor, seed=seed, noise=0.008).verdict for seed in SEEDS]
    assert sum(v is Verdict.EQUIVALENT for v in verdicts) >= 16


def test_more_is_better_for_throughput_and_worse_for_latency() -> None:
    low, high = {0: 1.0, 1: 1.01, 2: 0.99}, {0: 2.0, 1: 2.0, 2: 2.0}
    assert compare_paired(low, high, higher_is_better=True).verdict is Verdict.BETTER
    assert compare_paired(low, high, higher_is_better=False).verdict is Verdict.WORSE


def test_only_trials_of_both_sides_are_paired() -> None:
    paired = compare_paired({0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}, {1: 2.0, 2: 2.0, 3: 2.0, 4: 9.0}, higher_is_better=False)
    assert paired.trials == 3
    assert paired.ratio == pytest.approx(2.0)


def test_two_pairs_have_a_ratio_and_no_verdict() -> None:
    paired = compare_paired({0: 1.0, 1: 1.0}, {0: 3.0, 1: 3.0}, higher_is_better=False)
    assert (paired.verdict, paired.low) == (Verdict.INCONCLUSIVE, None)
    assert paired.note == "an interval needs 3 paired trials, 2 ran"


def test_a_noisy_pair_is_inconclusive_and_says_how_many_trials_would_tell() -> None:
    paired = compare_paired({0: 1.0, 1: 1.0, 2: 1.0}, {0: 0.8, 1: 1.1, 2: 1.3}, higher_is_better=False)
    assert paired.verdict is Verdict.INCONCLUSIVE
    assert paired.trials_needed is not None
    assert paired.trials_needed > 10


def test_runs_without_a_common_trial_cannot_be_compared() -> None:
    assert compare_paired({0: 1.0}, {1: 1.0}, higher_is_better=True).ratio is None


def test_the_sentence_turns_the_interval_to_the_winners_side() -> None:
    rows = summarise(*sample([Engine(runtime="a", step_ms=8), Engine(runtime="b", step_ms=16)])).comparisons
    tpot = next(row for row in rows if row.metric == "tpot_mean")
    assert tpot.ratio == pytest.approx(2.0, rel=0.05)
    assert tpot.sentence.startswith("a was 2.0")
    assert tpot.verdict is Verdict.WORSE


def test_a_simulator_is_never_named_without_saying_so() -> None:
    rows = summarise(*sample([Engine(runtime="sim", simulated=True), Engine(runtime="vllm")])).comparisons
    assert all("sim (simulated)" in row.sentence for row in rows if "sim" in row.sentence.replace("(simulated)", ""))


def test_runs_with_other_plans_are_compared_with_a_warning() -> None:
    document, table = sample([Engine(runtime="a"), Engine(runtime="b")])
    document["runs"][1]["trials"][0]["plan_digest"] = "ff" * 32  # type: ignore[index]
    row = summarise(document, table).comparisons[0]
    assert not row.same_plan
    assert row.sentence.endswith("so this is not like for like.")
