"""One alert on its whole way: a page that says it, a real Prometheus that reads it, a real Alertmanager."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from platform_rig import wait_for
from prometheus_client import CollectorRegistry
from prometheus_tools import alertmanager, prometheus

from tokenforge.telemetry.boards.alerts import ALERTS
from tokenforge.telemetry.boards.prometheus import alerts_text
from tokenforge.telemetry.control_metrics import ControlMetrics
from tokenforge.telemetry.page import read_page
from tokenforge.telemetry.targets import MetricsTarget, discovery

pytestmark = pytest.mark.timeout(120)


@contextmanager
def standing_by() -> Iterator[str]:
    """A control that does not lead, and the list that names its page; gives the list's address."""
    registry = CollectorRegistry()
    ControlMetrics(registry)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers["host"]
            listed = discovery([MetricsTarget(address=host, labels={"process": "control"})])
            is_list = self.path == "/metrics/targets"
            self.send_response(200)
            self.send_header("content-type", "application/json" if is_list else "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(json.dumps(listed).encode() if is_list else read_page(registry))

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics/targets"
    finally:
        server.shutdown()
        server.server_close()


def alerts_at(address: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://{address}/api/v2/alerts", timeout=10) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())
    return found


def test_nobody_leads_reaches_a_real_alertmanager_with_its_runbook(tmp_path: Path) -> None:
    rules = tmp_path / "alerts.yml"
    rules.write_text(alerts_text(ALERTS).replace("for: 2m", "for: 0s"))
    with (
        standing_by() as listed,
        alertmanager(tmp_path) as address,
        prometheus(tmp_path, targets_url=listed, rules=[rules], alertmanager=address),
    ):
        wait_for(lambda: bool(alerts_at(address)), limit_s=60)
        (alert,) = [one for one in alerts_at(address) if one["labels"]["alertname"] == "TokenForgeNobodyLeads"]
    assert alert["labels"]["severity"] == "page"
    assert alert["annotations"]["runbook"] == "docs/runbooks/TokenForgeNobodyLeads.md"
    assert (Path(__file__).parents[2] / alert["annotations"]["runbook"]).is_file()
