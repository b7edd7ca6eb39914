"""All files that are made from the boards, by their place in the repository."""

from tokenforge.telemetry.boards.alerts import ALERTS
from tokenforge.telemetry.boards.benchmark import BENCHMARK
from tokenforge.telemetry.boards.fleet import FLEET
from tokenforge.telemetry.boards.gpu import GPU
from tokenforge.telemetry.boards.grafana import board_text
from tokenforge.telemetry.boards.model import Board
from tokenforge.telemetry.boards.prometheus import RUNBOOKS, alerts_text, rules_text, runbook_text, tests_text
from tokenforge.telemetry.boards.rules import RECORDINGS
from tokenforge.telemetry.boards.runtime import RUNTIME
from tokenforge.telemetry.boards.serving import SERVING

BOARDS: tuple[Board, ...] = (SERVING, RUNTIME, GPU, BENCHMARK, FLEET)


def files() -> dict[str, str]:
    """Name and content."""
    boards = {f"deploy/grafana/dashboards/{board.uid}.json": board_text(board) for board in BOARDS}
    runbooks = {RUNBOOKS + alert.page: runbook_text(alert) for alert in ALERTS}
    return {
        **boards,
        "deploy/prometheus/rules.yml": rules_text(RECORDINGS),
        "deploy/prometheus/alerts.yml": alerts_text(ALERTS),
        "deploy/prometheus/alerts_test.yml": tests_text(ALERTS),
        **runbooks,
    }
