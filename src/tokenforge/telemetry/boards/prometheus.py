"""Rules and alerts as Prometheus' files, and the promtool tests that every alert fires and stays silent."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO

from ruamel.yaml import YAML

from tokenforge.telemetry.boards.alert_model import Alert, Recording

RUNBOOKS = "docs/runbooks/"
_HEAD = "# Made from `telemetry/boards` by `make reference`; do not edit.\n"
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_AT = {"s": 1, "m": 60, "h": 3600}


def rules_text(recordings: Sequence[Recording]) -> str:
    """The file of recording rules."""
    rules = [{"record": one.record, "expr": one.expr} for one in recordings]
    return _yaml({"groups": [{"name": "tokenforge-recordings", "rules": rules}]})


def alerts_text(alerts: Sequence[Alert]) -> str:
    """The file of alerts."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.condition,
            "for": alert.lasts,
            "labels": {"severity": alert.severity.value},
            "annotations": {"summary": alert.summary, "runbook": RUNBOOKS + alert.page},
        }
        for alert in alerts
    ]
    return _yaml({"groups": [{"name": "tokenforge-alerts", "rules": rules}]})


def tests_text(alerts: Sequence[Alert]) -> str:
    """promtool's unit tests: one that fires and one that does not, for each alert."""
    tests = [test for alert in alerts for test in (_fires(alert), _silent(alert))]
    return _yaml({"rule_files": ["rules.yml", "alerts.yml"], "evaluation_interval": "30s", "tests": tests})


def runbook_text(alert: Alert) -> str:
    """An alert's page."""
    look = "".join(f"- {line}\n" for line in alert.look)
    act = "".join(f"- {line}\n" for line in alert.act)
    summary = _LABEL.sub(lambda match: match.group(1).upper(), alert.summary)
    return (
        f"# {alert.name}\n\n<!-- Made from `telemetry/boards` by `make reference`; do not edit. -->\n\n"
        f"**{summary}.** Severity: {alert.severity}; after {alert.lasts}.\n\n```\n{alert.condition}\n```\n\n"
        f"## What it means\n\n{alert.means}\n\n## Where to look\n\n{look}\n## What to do\n\n{act}"
    )


def _fires(alert: Alert) -> dict[str, object]:
    labels = {**alert.fires.labels, "severity": alert.severity.value}
    summary = _LABEL.sub(lambda match: alert.fires.labels.get(match.group(1), ""), alert.summary)
    expected: dict[str, object] = {
        "exp_labels": labels,
        "exp_annotations": {"summary": summary, "runbook": RUNBOOKS + alert.page},
    }
    return _test(alert, alert.fires.series, [expected], words="fires")


def _silent(alert: Alert) -> dict[str, object]:
    return _test(alert, alert.calm, [], words="stays silent")


def _test(
    alert: Alert, series: Mapping[str, str], expected: list[dict[str, object]], *, words: str
) -> dict[str, object]:
    lasts_s = int(alert.lasts[:-1]) * _AT[alert.lasts[-1]]
    ends_m = (lasts_s + 59) // 60 + 5
    return {
        "name": f"{alert.name} {words}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{ends_m}m", "alertname": alert.name, "exp_alerts": expected}],
    }


def _yaml(content: object) -> str:
    writer, text = YAML(), StringIO()
    writer.width = 200
    writer.dump(content, text)
    return _HEAD + text.getvalue()
