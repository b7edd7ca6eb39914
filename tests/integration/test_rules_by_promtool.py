"""Rules and alerts by Prometheus' own tool: they are well formed, and each alert fires and stays silent as it says."""

import subprocess
from pathlib import Path

from prometheus_tools import tool

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [tool("promtool"), *arguments], cwd=RULES, capture_output=True, text=True, timeout=60, check=False
    )


def test_rules_and_alerts_are_well_formed() -> None:
    done = promtool("check", "rules", "rules.yml", "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_on_its_example_and_is_silent_while_all_is_well() -> None:
    done = promtool("test", "rules", "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_to_start_from_is_one() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
