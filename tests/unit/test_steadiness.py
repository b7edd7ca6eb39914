"""A whole run that had not settled: what is said of it, and what is not."""

from dataclasses import replace

import pytest
from planted_faults import ENGINE, LOAD, clean, ever_sooner, planted, records_of
from record_samples import MS, Engine, Load, one_run, sample

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.figures import Comparison, Validity
from tokenforge.analysis.headline import headline
from tokenforge.analysis.steadiness import State
from tokenforge.analysis.summary import summarise
from tokenforge.domain.record import RequestRecord


def test_a_clean_run_is_steady_in_both_series() -> None:
    found = clean().steadiness
    assert (found.state, found.note) == (State.STEADY, None)
    assert found.ttft is not None
    assert found.output_tokens_per_s is not None


def test_a_run_that_warms_up_all_the_time_is_suspect_and_says_how_much_it_changed() -> None:
    run = planted(ever_sooner)
    said = next(reason for reason in run.reasons if reason.code == "not_steady")
    assert run.verdict is Validity.SUSPECT
    assert said.sentence.startswith("TTFT changed by -")
    assert "in the mean of 5 trials" in said.sentence


def test_throughput_of_an_unsteady_run_carries_the_word() -> None:
    assert (planted(ever_sooner).output_tokens_per_s.note, clean().output_tokens_per_s.note) == ("not steady", None)


def test_short_trials_are_not_judged_and_say_why() -> None:
    found = clean(load=Load(requests=60)).steadiness
    assert (found.state, found.note) == (State.NOT_JUDGED, "needs 100 requests a trial, has 60")


def test_one_trial_of_a_busy_queue_is_not_judged() -> None:
    load = Load(qps=20.0, requests=200)
    run = summarise(*sample([ENGINE], [load], trials=1)).runs[0]
    assert run.steadiness.state is State.NOT_JUDGED
    assert (run.steadiness.note or "").startswith("needs 3 trials, or longer ones: these are worth ")


def test_above_capacity_only_tokens_are_judged() -> None:
    run = clean(load=Load(qps=40.0, requests=400))
    assert run.saturated
    assert run.steadiness.ttft is None
    assert run.steadiness.output_tokens_per_s is not None


def test_an_engine_that_slows_down_in_every_trial_is_not_steady_in_a_closed_loop() -> None:
    load = Load(qps=None, requests=300)

    def tired(record: RequestRecord) -> RequestRecord:
        late = int(record.index * 0.4 * MS)
        return replace(record, first_ns=(record.first_ns or 0) + late)

    assert clean(load=load).steadiness.state is State.STEADY
    assert planted(tired, load=load).steadiness.state is State.NOT_STEADY


def test_the_headline_of_an_unsteady_run_has_neither_throughput_nor_ttft() -> None:
    first = summarise(*one_run([ever_sooner(record) for record in records_of(ENGINE, LOAD)], LOAD)).headline[0]
    assert first.startswith("vllm on qa-short at ")
    assert "mean TPOT" in first
    assert "tokens/s" not in first
    assert "TTFT" not in first


def test_the_headline_of_a_comparison_leaves_out_what_had_not_settled() -> None:
    steady, unsteady = clean(), replace(planted(ever_sooner), runtime="late")
    rows = [comparison(metric) for metric in ("output_tokens_per_s", "ttft_mean", "tpot_mean", "e2e_mean")]
    assert headline([steady, unsteady], rows)[0] == "late and vllm in tpot_mean."
    assert headline([steady, unsteady], rows[:2])[0].startswith("late and vllm are not compared here: ")
    assert headline([steady, replace(steady, runtime="late")], rows)[0] == "late and vllm in output_tokens_per_s."


def comparison(metric: str) -> Comparison:
    return Comparison(
        model="synthetic:tiny", workload="qa-short", baseline="vllm", runtime="late", metric=metric, label=metric,
        unit="", higher_is_better=False, baseline_value=1.0, runtime_value=2.0, ratio=2.0, low=1.9, high=2.1, trials=5,
        trials_needed=None, verdict=Verdict.WORSE, same_plan=True, sentence=f"late and vllm in {metric}.",
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_engines_that_are_steady_have_their_throughput_in_the_headline(seed: int) -> None:
    load = Load(qps=None, requests=200)
    summary = summarise(*sample([Engine(runtime="a"), Engine(runtime="b", step_ms=16.0)], [load], seed=seed))
    assert "output throughput" in summary.headline[0]
