"""The gate's answers, one by one."""

import copy

import pytest
from gate_samples import a_record, chosen, gate

from tokenforge.analysis.gate import GateRules, run_gate
from tokenforge.analysis.gate_metric import GateVerdict, holm
from tokenforge.domain.errors import InvalidInput

STEADY = [[100.0, 101.0, 99.0, 100.5, 99.5], [100.5, 100.0, 99.5, 101.0, 99.2], [99.4, 101.2, 99.1, 100.1, 100.2]]
SLOW = [80.0, 81.0, 79.5, 80.2, 79.9]
Record = dict[str, object]


def records(*last: float, loop: str = "closed") -> list[Record]:
    rows = [*STEADY, list(last)]
    return [a_record(row, number=number, loop=loop) for number, row in enumerate(rows)]


def test_less_throughput_is_a_regression_and_less_latency_is_none() -> None:
    assert gate(records(*SLOW)).verdict is GateVerdict.REGRESSED
    assert gate(records(*SLOW, loop="open")).verdict is GateVerdict.NOT_REGRESSED


def test_the_change_and_its_interval_are_in_the_metrics_own_direction() -> None:
    metric = gate(records(*SLOW)).subjects[0].metrics[0]
    assert metric.change is not None
    assert metric.change == pytest.approx(-0.2, abs=0.01)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < metric.change < metric.high < 0


def test_worse_within_the_margin_passes_and_a_smaller_margin_fails() -> None:
    slower = [value * 0.97 for value in STEADY[0]]
    assert gate(records(*slower)).verdict is GateVerdict.NOT_REGRESSED
    strict = GateRules(margins={"output_tokens_per_s": 0.01})
    assert gate(records(*slower), strict).verdict is GateVerdict.REGRESSED


def test_one_regressed_metric_decides_and_an_undecided_one_does_not_pass() -> None:
    found = gate(records(*STEADY[0]), GateRules(metrics=("output_tokens_per_s", "goodput", "ttft_p99")))
    assert found.verdict is GateVerdict.NOT_REGRESSED
    noisy = records(80.0, 120.0, 95.0, 130.0, 70.0)
    assert gate(noisy).verdict is GateVerdict.INCONCLUSIVE


def test_an_undecided_metric_says_how_many_runs_would_decide() -> None:
    noisy = [95.0, 112.0, 90.0, 108.0, 97.0]
    few, many = (gate(records(*[v * by for v in noisy])).subjects[0].metrics[0] for by in (1.0, 0.97))
    assert few.runs_needed is not None
    assert many.runs_needed is not None
    assert 1 <= few.runs_needed < many.runs_needed


def test_one_earlier_run_says_that_the_noise_of_runs_is_assumed() -> None:
    found = gate([a_record(STEADY[0]), a_record(SLOW, number=1)])
    assert found.subjects[0].metrics[0].between_is_assumed
    assert "3 % is assumed" in " ".join(found.subjects[0].notes)


def test_a_single_trial_against_a_single_run_decides_nothing() -> None:
    found = gate([a_record([100.0]), a_record([50.0], number=1)])
    assert found.verdict is GateVerdict.INCONCLUSIVE
    assert "nothing says how far results vary" in str(found.subjects[0].metrics[0].note)


def test_an_invalid_candidate_does_not_pass_and_an_invalid_baseline_is_left_out() -> None:
    rows = records(*STEADY[0])
    bad = a_record(STEADY[0], number=9, verdict="INVALID")
    found = gate([*rows[:3], bad])
    assert found.verdict is GateVerdict.INCONCLUSIVE
    assert "It was late." in found.subjects[0].objections[0]
    kept = gate([bad, *rows]).subjects[0]
    assert len(kept.earlier) == 3
    assert "Left out: id-009 is INVALID" in kept.notes[0]


def test_goodput_that_falls_to_zero_is_a_regression() -> None:
    assert gate(records(0.0, 0.0, 0.0, 0.0, 0.0)).verdict is GateVerdict.REGRESSED


def test_a_single_zero_has_no_ratio_and_is_said() -> None:
    found = gate(records(0.0, 100.0, 100.0, 100.0, 100.0))
    assert found.verdict is GateVerdict.INCONCLUSIVE
    assert found.subjects[0].metrics[0].note == "a trial's value is 0, which has no ratio"


def test_only_trials_that_all_runs_have_count() -> None:
    found = gate([*records(*STEADY[0])[:3], a_record(STEADY[0][:3], number=4)]).subjects[0]
    assert found.trials == 3
    assert "Only the 3 trials" in " ".join(found.notes)


def test_a_history_that_changed_is_used_since_then() -> None:
    old = [a_record([v * 1.3 for v in STEADY[n % 3]], number=n) for n in range(5)]
    new = [a_record(STEADY[n % 3], number=5 + n) for n in range(5)]
    found = gate([*old, *new]).subjects[0]
    assert found.earlier == ("id-005", "id-006", "id-007", "id-008")
    assert "The history changed at id-005" in found.notes[0]


def _with(record: Record, *path: str | int, value: object) -> Record:
    changed = copy.deepcopy(record)
    place = changed
    for step in path[:-1]:
        place = place[step]  # type: ignore[assignment,index]
    place[path[-1]] = value  # type: ignore[index]
    return changed


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("benchmark", "workloads", 0, "qps"), 9.0, "workload.qps: 5.0 -> 9.0"),
        (("endpoint",), "chat", "endpoint: completions -> chat"),
        (("runs", 0, "trials", 2, "plan_digest"), "ff" * 32, "plan of trial 2"),
        (("environment", "machine", "cpu_model"), "Other CPU", "CPU model: Example CPU -> Other CPU"),
        (("environment", "gpus"), [{"name": "H100", "power.limit": "700 W"}], "GPUs: none -> H100 at 700 W"),
        (("summary", "runs", 0, "runtime"), "vllm@1.0", "load on vllm"),
        (("summary", "runs", 0, "workload"), "other", "other on sim"),
    ],
)
def test_runs_that_are_not_alike_are_refused_by_what_differs(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    rows = records(*STEADY[0])
    with pytest.raises(InvalidInput, match=words):
        chosen([*rows[:3], _with(rows[3], *path, value=value)])


def test_other_hardware_is_compared_where_that_is_allowed_and_said() -> None:
    rows = records(*STEADY[0])
    other = _with(rows[3], "environment", "machine", "cpu_model", value="Other CPU")
    found = run_gate(chosen([*rows[:3], other], any_hardware=True), GateRules())
    assert found.verdict is GateVerdict.NOT_REGRESSED
    assert "The hardware differs, as was allowed" in " ".join(found.subjects[0].notes)


def test_runs_found_in_a_folder_that_do_not_fit_are_left_out_and_counted() -> None:
    rows = records(*STEADY[0])
    odd = _with(rows[0], "benchmark", "workloads", 0, "qps", value=9.0)
    found = run_gate(chosen([odd, *rows], are_named=False), GateRules()).subjects[0]
    assert len(found.earlier) == 3
    assert "1 earlier run is not like the candidate" in " ".join(found.notes)


def test_what_software_changed_is_named_and_no_obstacle() -> None:
    rows = [*records(*STEADY[0])[:3], a_record(SLOW, number=5, step_ms=8.0)]
    found = gate(rows).subjects[0]
    assert [str(one) for one in found.changed] == ["engine_args.sim.step_ms: 5.0 -> 8.0"]


def test_holms_p_values_are_those_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
