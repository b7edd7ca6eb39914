"""The latency ledger: stages that add up to E2E to the nanosecond, and never a zero for what nobody told."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_samples import MS, Engine, Load, one_request, one_run, run_record, sample, trial_records

from tokenforge.analysis.document import RunFacts, read_facts
from tokenforge.analysis.ledger import Ledger, TrialLedger, layout, read_ledger, trial_ledger
from tokenforge.analysis.trials import measure_trials
from tokenforge.domain.record import Outcome, RequestRecord

TOLD = {"server_first_ns": 90 * MS, "server_queue_ns": 30 * MS, "server_prefill_ns": 50 * MS}
"""Of the 100 ms to the first token of `one_request`: 10 are the network's, 10 the worker's own."""

ALL = ("lag", "network", "worker", "queue", "prefill", "decode", "stall")


def ledgers(
    records: Sequence[RequestRecord], *, is_ours: bool = True, load: Load | None = None
) -> tuple[Ledger | None, list[TrialLedger]]:
    """Of a run, and of each of its trials."""
    document, requests = one_run(records, load)
    facts: RunFacts = replace(read_facts(document).runs[0], is_ours=is_ours)
    trials = measure_trials(facts, requests)
    groups = layout(facts, trials)
    return read_ledger(facts, trials), [trial_ledger(trial, groups) for trial in trials]


def means(ledger: Ledger | None) -> dict[str, float]:
    assert ledger is not None
    return {" + ".join(stage.parts): stage.mean.value or 0.0 for stage in ledger.stages}


def test_each_stage_has_its_time() -> None:
    request = one_request(scheduled_ns=0, sent_ns=5 * MS, end_ns=132 * MS, **{**TOLD, "server_first_ns": 85 * MS})
    ledger, _ = ledgers([request])
    assert means(ledger) == {
        "lag": 5, "network": 12, "worker": 5, "queue": 30, "prefill": 50, "decode": 30, "stall": 0,
    }  # fmt: skip


def test_what_the_engine_does_not_tell_is_part_of_a_named_sum() -> None:
    ledger, _ = ledgers([one_request(server_first_ns=90 * MS)])
    assert means(ledger) == {"lag": 0, "network": 10, "worker + queue + prefill": 90, "decode": 30, "stall": 0}


def test_a_server_that_tells_nothing_leaves_one_wait() -> None:
    wait = "network + gateway + worker + queue + prefill"
    ledger, _ = ledgers([one_request()], is_ours=False)
    assert means(ledger) == {"lag": 0, wait: 100, "decode": 30, "stall": 0}


def test_a_gateway_is_a_stage_where_it_tells_and_else_part_of_the_network() -> None:
    ledger, _ = ledgers([one_request(gateway_ns=4 * MS, **TOLD)], is_ours=False)
    assert means(ledger)["gateway"] == 4
    assert means(ledger)["network"] == 6
    unknown, _ = ledgers([one_request(**TOLD)], is_ours=False)
    assert means(unknown)["network + gateway"] == 10


def test_a_closed_loop_has_no_lag() -> None:
    load = Load(qps=None)
    ledger, _ = ledgers([one_request(scheduled_ns=None, **TOLD)], load=load)
    assert ledger is not None
    assert ledger.origin == "sent"
    assert tuple(means(ledger)) == ALL[1:]


def test_a_long_gap_is_a_stall_for_what_it_has_beyond_the_usual_pace() -> None:
    usual = [one_request(index=index, **TOLD) for index in range(9)]
    held = one_request(index=9, chunk_ns=(100 * MS, 110 * MS, 210 * MS, 220 * MS), end_ns=220 * MS, **TOLD)
    _, (trial,) = ledgers([*usual, held])
    assert trial.stages["stall",].tolist() == [0] * 9 + [90 * MS]
    assert trial.stages["decode",].tolist() == [30 * MS] * 10


@pytest.mark.parametrize("told", [{**TOLD, "server_first_ns": 101 * MS}, {**TOLD, "server_queue_ns": 80 * MS}])
def test_durations_that_do_not_fit_into_what_the_client_saw_are_not_used(told: dict[str, int]) -> None:
    ledger, _ = ledgers([one_request(**told)])
    assert set(means(ledger)) <= {"lag", "network", "worker + queue + prefill", "decode", "stall"} | {
        "network + worker + queue + prefill"
    }


def test_few_requests_without_a_word_are_left_out_and_counted() -> None:
    told = [one_request(index=index, **TOLD) for index in range(199)]
    ledger, _ = ledgers([*told, one_request(index=199)])
    assert ledger is not None
    assert (ledger.requests, ledger.left_out) == (199, 1)
    assert tuple(means(ledger)) == ALL


def test_requests_that_failed_have_no_ledger() -> None:
    nothing, _ = ledgers([one_request(outcome=Outcome.TIMEOUT)])
    assert nothing is None


STAMPS = st.integers(min_value=0, max_value=10**12)


@given(st.lists(st.tuples(STAMPS, st.lists(STAMPS, min_size=6, max_size=6)), min_size=1, max_size=8))
def test_stages_of_any_request_add_up_to_its_e2e_to_the_nanosecond(drawn: list[tuple[int, list[int]]]) -> None:
    records = []
    for index, (due, moments) in enumerate(drawn):
        sent, first, second, last, end, part = sorted(moments)[0], *sorted(moments)[1:5], moments[5]
        chunks = {"chunk_ns": (first, second, last), "chunk_tokens": (1, 1, 1), "output_tokens": 3}
        told = {"server_first_ns": part % (first - sent + 1), "server_queue_ns": 0, "server_prefill_ns": 0}
        records.append(
            one_request(index=index, scheduled_ns=due, sent_ns=sent, first_ns=first, end_ns=end, **chunks, **told)
        )
    _, trials = ledgers(records)
    for trial in trials:
        total = np.sum(list(trial.stages.values()), axis=0)
        assert np.array_equal(total, trial.e2e)


@pytest.mark.parametrize("change", [lambda r: r, lambda r: replace(r, server_first_ns=5 * MS)])
def test_the_means_and_the_slowest_of_a_run_add_up(change: Callable[[RequestRecord], RequestRecord]) -> None:
    chance = np.random.default_rng(2)
    load = Load(requests=150)
    made = (trial_records(Engine(runtime="vllm"), load, trial=t, plan_seed=2, chance=chance) for t in range(3))
    ledger, _ = ledgers([change(record) for records in made for record in records], load=load)
    assert ledger is not None
    assert sum(means(ledger).values()) == pytest.approx(ledger.e2e.mean.value, abs=1e-9)
    assert sum(stage.slowest for stage in ledger.stages) == pytest.approx(ledger.e2e.slowest, abs=1e-9)
    assert sum(stage.share for stage in ledger.stages) == pytest.approx(1.0)
    assert ledger.e2e.slowest >= ledger.e2e.p99 * 0.99


def test_a_run_of_ours_is_known_by_its_start() -> None:
    document, _ = sample([Engine(runtime="vllm")])
    assert read_facts(document).runs[0].is_ours
    assert run_record("r", Engine(runtime="vllm"), Load(), []).start_s is not None
