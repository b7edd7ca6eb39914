"""Edges of the verdict: how grave a fault is, what looks like one and is none, and what is not known."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from planted_faults import (
    DRIVER,
    ENGINE,
    LOAD,
    RUN,
    Change,
    clean,
    cut_by_length,
    from_a_cache,
    nothing_recorded,
    of_size,
    outcome_of_every,
    over_capacity,
    planted,
    records_of,
    said,
    said_by_all,
    slower_in_trials,
    usage_off_by,
)
from record_samples import Load, one_run, sample

from tokenforge.analysis.figures import Level, RunSummary, Validity
from tokenforge.analysis.summary import summarise
from tokenforge.domain.record import Outcome, RequestRecord


def levels(run: RunSummary) -> dict[str, Level]:
    return {reason.code: reason.level for reason in run.reasons}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda one: replace(one, cached_tokens=128), "warm_prefix_cache"),
        (outcome_of_every(5, Outcome.HTTP_ERROR), "errors"),
        (lambda one: from_a_cache(one, every=5), "cached_responses"),
        (lambda one: cut_by_length(replace(one, index=0)), "truncated_output"),
    ],
)
def test_a_fault_of_a_tenth_and_more_makes_the_run_invalid(change: Change, code: str) -> None:
    run = planted(change)
    assert levels(run)[code] is Level.INVALID
    assert run.verdict is Validity.INVALID


@pytest.mark.parametrize("tokens", [3, -3])
def test_usage_that_is_more_than_the_limit_or_less_than_the_chunks_is_a_miscount(tokens: int) -> None:
    found = levels(planted(usage_off_by(tokens)))
    assert found["token_count"] is Level.SUSPECT
    assert "truncated_output" not in found


def test_sums_that_differ_are_a_note_where_the_server_gives_text_alone() -> None:
    run = said({(*RUN, "engine", "token_level"): False})
    assert levels(run) == {}
    document, table = sample([replace(ENGINE, tokens_per_chunk=2)])
    document["runs"][0]["engine"]["token_level"] = False  # type: ignore[index]
    assert levels(summarise(document, table).runs[0]) == {"multi_token_chunks": Level.NOTE}


def test_chunks_of_a_server_that_is_not_known_are_not_taken_for_tokens() -> None:
    document, table = one_run([replace(one, counted_tokens=15) for one in records_of(ENGINE, LOAD)], LOAD)
    document["runs"][0]["engine"] = None  # type: ignore[index]
    assert levels(summarise(document, table).runs[0]) == {"token_count": Level.NOTE}


def test_where_every_answer_is_cached_no_engine_is_that_fast() -> None:
    load = replace(LOAD, gen_tokens=128)
    assert levels(planted(lambda one: from_a_cache(one, every=1), load=load))["cached_responses"] is Level.INVALID


def test_an_answer_held_back_and_sent_in_one_piece_is_not_a_cached_one() -> None:
    def held(record: RequestRecord) -> RequestRecord:
        last = record.chunk_ns[-1]
        return replace(record, first_ns=last, chunk_ns=tuple(last + at for at in range(len(record.chunk_ns))))

    assert "cached_responses" not in levels(planted(held))


def test_streams_that_broke_off_are_cut_and_errors() -> None:
    assert levels(planted(outcome_of_every(20, Outcome.TRUNCATED))) == {
        "truncated_output": Level.SUSPECT,
        "errors": Level.SUSPECT,
    }


@pytest.mark.parametrize(("hits", "level"), [(2, Level.SUSPECT), (40, Level.INVALID)])
def test_the_servers_counters_tell_a_warm_cache_where_answers_do_not(hits: int, level: Level) -> None:
    assert levels(said_by_all("server", {"prefix_queries": 100, "prefix_hits": hits})) == {"warm_prefix_cache": level}


def test_cache_hits_are_no_fault_where_a_shared_prefix_was_asked() -> None:
    load = replace(LOAD, extra={"shared_prefix_tokens": 64})
    assert levels(planted(lambda one: replace(one, cached_tokens=64), load=load)) == {}


@pytest.mark.parametrize("words", [{"prefix_queries": 100, "prefix_hits": 0, "restarted": False}, {}])
def test_a_server_that_says_nothing_bad_or_nothing_at_all_is_not_accused(words: Mapping[str, object]) -> None:
    assert levels(said_by_all("server", words)) == {}


@pytest.mark.parametrize(("first", "factor"), [(1, 1.6), (2, 0.6), (4, 1.7)])
def test_a_lasting_change_of_pace_is_drift_and_names_its_trial(first: int, factor: float) -> None:
    run = slower_in_trials(factor, first=first)
    found = next(reason for reason in run.reasons if reason.code == "drift")
    assert found.numbers["trial"] == first
    assert found.numbers["factor"] == pytest.approx(max(factor, 1 / factor), rel=0.1)


def test_a_change_of_pace_that_goes_away_is_drift_too() -> None:
    run = slower_in_trials(1.5, first=2, last=2)
    assert run.reasons[0].sentence.startswith("In trial 3 the time per output token was 1.48 times longer")


@pytest.mark.parametrize("factor", [1.1, 0.9])
def test_a_small_change_of_pace_is_not_drift(factor: float) -> None:
    assert levels(slower_in_trials(factor, first=2)) == {}


def test_a_queue_that_grows_alike_in_every_trial_is_not_drift() -> None:
    assert levels(over_capacity()) == {"over_saturated": Level.SUSPECT}


def test_a_rare_standstill_of_the_generator_is_only_noted() -> None:
    words = {"loop_delay_max_ms": 30.0, "loop_stalled_s": 0.01}
    assert levels(said_by_all("driver", words)) == {"generator_stalled": Level.NOTE}


def test_a_trial_that_a_signal_stopped_was_not_drained() -> None:
    assert levels(said({(*DRIVER, "stopped_early"): "a signal"})) == {"not_drained": Level.SUSPECT}


def test_a_stable_queue_at_high_load_is_not_called_over_saturated() -> None:
    load = Load(qps=20.0, requests=1000)
    flags = [summarise(*sample([ENGINE], [load], seed=seed)).runs[0].saturated for seed in range(6)]
    assert sum(flags) <= 1


def test_one_short_trial_is_suspect_for_its_size() -> None:
    assert set(levels(of_size(trials=1, requests=30))) == {"too_few_trials", "too_few_requests"}


def test_chunks_of_several_tokens_are_noted_and_stay_valid() -> None:
    run = clean(engine=replace(ENGINE, tokens_per_chunk=4))
    assert levels(run) == {"multi_token_chunks": Level.NOTE}
    assert run.verdict is Validity.VALID


def test_a_run_without_any_row_is_invalid() -> None:
    assert nothing_recorded().verdict is Validity.INVALID
