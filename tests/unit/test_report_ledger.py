"""The page's section on where the time went, and the line of the terminal."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from record_samples import MS, Engine, Load, one_run, trial_records

from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain
from tokenforge.report.ledger import MEANINGS, ledger_figures, ledger_line
from tokenforge.report.page import render_report


@pytest.fixture(scope="module")
def finished() -> tuple[dict[str, Any], Any]:
    """A run whose server told its part of the wait: half of it queue, half prefill."""
    chance, load = np.random.default_rng(4), Load()
    records = [
        replace(one, server_first_ns=10 * MS, server_queue_ns=4 * MS, server_prefill_ns=5 * MS)
        for trial in range(3)
        for one in trial_records(Engine(runtime="vllm"), load, trial=trial, plan_seed=4, chance=chance)
    ]
    document, requests = one_run(records, load)
    return {**document, "summary": to_plain(summarise(document, requests))}, requests


def test_the_pieces_of_a_bar_add_up_to_the_whole(finished: tuple[dict[str, Any], Any]) -> None:
    figure = ledger_figures(finished[0]["summary"])[0]
    pieces = re.findall(r'<rect class="piece t-\w+" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', figure.svg)
    mean = [(float(x), float(width)) for x, y, width in pieces if y == pieces[0][1]]
    assert len(mean) == 7
    assert sum(width for _, width in mean) == pytest.approx(mean[-1][0] + mean[-1][1] - mean[0][0], abs=0.5)


def test_the_page_shows_it_with_its_table_and_its_words(finished: tuple[dict[str, Any], Any]) -> None:
    page = render_report(*finished)
    part = page[page.index('id="ledger"') : page.index('id="doubts"')]
    assert all(name in part for name, _ in MEANINGS)
    assert part.index('<th scope="row">queue</th><td>4</td>') < part.index('<th scope="row">E2E</th>')


def test_the_terminal_names_the_largest_shares_first(finished: tuple[dict[str, Any], Any]) -> None:
    line = ledger_line(finished[0]["summary"]["runs"][0])
    assert line is not None
    assert line.startswith("vllm on qa-short: decode ")
    assert "queue" in line


def test_a_record_from_before_has_no_such_section(finished: tuple[dict[str, Any], Any]) -> None:
    document, requests = finished
    summary = {**document["summary"], "runs": [{**run, "ledger": None} for run in document["summary"]["runs"]]}
    assert ledger_figures(summary) == ()
    assert ledger_line(summary["runs"][0]) is None
    assert 'id="ledger"' not in render_report({**document, "summary": summary}, requests)
