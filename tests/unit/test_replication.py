"""A second run against the first: agreed, differed, undecided, or not comparable because the surroundings changed."""

from gate_samples import a_record, gate_runs

from tokenforge.analysis.replication import Answer, Replication, replicate

FIRST = [100.0, 101.0, 99.0, 100.5, 99.5]


def repeated(second: list[float], *, step_ms: float = 5.0, verdict: str = "VALID") -> Replication:
    again = a_record(second, number=1, step_ms=step_ms, verdict=verdict)
    return replicate(gate_runs([a_record(FIRST)]), gate_runs([again]), margin=0.1)


def test_numbers_within_the_margin_are_replicated() -> None:
    assert repeated([value * 1.04 for value in FIRST]).answer is Answer.REPLICATED


def test_numbers_shown_to_be_further_apart_are_not() -> None:
    found = repeated([value * 0.8 for value in FIRST])
    assert found.answer is Answer.NOT_REPLICATED
    assert found.metrics[0].agrees is False


def test_noise_decides_nothing_and_says_how_many_trials_would() -> None:
    found = repeated([70.0, 140.0, 95.0, 130.0, 80.0])
    assert found.answer is Answer.UNDECIDED
    assert found.metrics[0].trials_needed is not None


def test_two_trials_decide_nothing() -> None:
    assert repeated(FIRST[:2]).answer is Answer.UNDECIDED


def test_changed_surroundings_are_the_answer_and_the_numbers_stand_beside_it() -> None:
    found = repeated(FIRST, step_ms=6.0)
    assert (found.answer, found.numbers) == (Answer.ENVIRONMENT_DIFFERS, Answer.REPLICATED)
    assert [str(one) for one in found.differences] == ["engine_args.sim.step_ms: 5.0 -> 6.0"]


def test_an_invalid_run_replicates_nothing() -> None:
    found = repeated(FIRST, verdict="INVALID")
    assert found.answer is Answer.UNDECIDED
    assert "It was late." in found.objections[0]


def test_a_run_that_is_missing_is_named() -> None:
    found = replicate(gate_runs([a_record(FIRST)]), [], margin=0.1)
    assert found.answer is Answer.UNDECIDED
    assert found.objections == ("load on sim (synthetic:tiny) was not run again.",)
