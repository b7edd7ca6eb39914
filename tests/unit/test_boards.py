"""Dashboards, rules and alerts: what is in the repository is what the boards say, and the boards say enough."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tokenforge.telemetry.boards.alert_model import Alert
from tokenforge.telemetry.boards.alerts import ALERTS
from tokenforge.telemetry.boards.files import BOARDS, files
from tokenforge.telemetry.boards.grafana import board_json
from tokenforge.telemetry.boards.model import Board
from tokenforge.telemetry.boards.promql import mean, quantile, rate
from tokenforge.telemetry.boards.rules import RECORDINGS
from tokenforge.telemetry.catalogue import METRICS, serving

ROOT = Path(__file__).parents[2]
each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


@pytest.mark.parametrize("name", sorted(files()))
def test_what_is_in_the_repository_is_what_the_boards_say(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == files()[name], f"{name} is stale: run `make reference`"


@pytest.mark.parametrize("folder", ["deploy/grafana/dashboards", "docs/runbooks"])
def test_no_file_is_left_of_a_board_or_an_alert_that_is_gone(folder: str) -> None:
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).iterdir()}
    assert there == {name for name in files() if name.startswith(f"{folder}/")}


def test_every_metric_is_on_some_board_or_in_some_alert() -> None:
    """What is measured and never looked at is not worth measuring; information about builds is asked by hand."""
    exprs = [q.expr for b in BOARDS for p in b.panels for q in p.queries]
    exprs += [alert.expr for alert in ALERTS] + [one.expr for one in RECORDINGS]
    seen = {name for expr in exprs for name in re.findall(r"tokenforge_[a-z_]+[a-z]", expr)}
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in seen} | seen
    unseen = {metric.full_name for metric in METRICS} - bases
    assert unseen == {"tokenforge_build_info", "tokenforge_admission_rejected_total"}


@each_board
def test_panels_lie_beside_each_other_and_not_on_top(board: Board) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _panels(board):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


@each_board
def test_ids_and_letters_of_queries_are_unique(board: Board) -> None:
    ids = [panel["id"] for panel in _panels(board)]
    assert len(set(ids)) == len(ids)
    for panel in _panels(board):
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)


@each_board
def test_every_panel_says_how_to_read_it(board: Board) -> None:
    assert all(panel.text.endswith(".") and panel.queries for panel in board.panels)


@each_board
def test_no_panel_has_grafanas_own_thresholds_or_no_unit(board: Board) -> None:
    """Its own call 80 of anything red."""
    for panel in _panels(board):
        if panel["type"] != "row":
            defaults = panel["fieldConfig"]["defaults"]
            values = [step["value"] for step in defaults["thresholds"]["steps"]]
            assert values[0] is None
            assert values[1:] == sorted(values[1:])
            assert defaults["unit"]


def _panels(board: Board) -> list[dict[str, Any]]:
    content: dict[str, Any] = json.loads(json.dumps(board_json(board)))
    panels: list[dict[str, Any]] = content["panels"]
    return panels


@each_alert
def test_every_alert_has_a_runbook_with_its_three_parts(alert: Alert) -> None:
    page = (ROOT / "docs/runbooks" / alert.page).read_text()
    assert all(part in page for part in ("## What it means", "## Where to look", "## What to do", alert.expr))


def test_no_two_alerts_have_one_name() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


def test_queries_are_written_from_definitions() -> None:
    metric = serving.DURATION
    assert rate(serving.GENERATION_TOKENS, by=("runtime",), window="5m") == (
        "sum by (runtime) (rate(tokenforge_generation_tokens_total[5m]))"
    )
    assert quantile(0.99, metric, window="1m") == (
        "histogram_quantile(0.99, sum by (le) (rate(tokenforge_request_duration_seconds_bucket[1m])))"
    )
    assert mean(metric, where='a="b"', window="1m") == (
        'sum (rate(tokenforge_request_duration_seconds_sum{a="b"}[1m])) / '
        'sum (rate(tokenforge_request_duration_seconds_count{a="b"}[1m]))'
    )
