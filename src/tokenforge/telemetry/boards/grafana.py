"""A board as Grafana's JSON: its classic dashboard schema, which Grafana 13 reads as every version before it."""

import json
from collections.abc import Iterator

from tokenforge.telemetry.boards.model import Board, Look, Panel, Row, Variable
from tokenforge.telemetry.catalogue import benchmark

_SCHEMA = 42
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ROW_WIDTH = 24
_HEIGHT = 8

Json = dict[str, object]


def board_text(board: Board) -> str:
    """The file's content."""
    return json.dumps(board_json(board), indent=1) + "\n"


def board_json(board: Board) -> Json:
    """The dashboard."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.text,
        "tags": ["tokenforge"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [_source_variable(), *map(_variable, board.variables)]},
        "annotations": {"list": [_trials()] if board.trials else []},
        "links": [
            {
                "title": "TokenForge", "type": "dashboards", "tags": ["tokenforge"], "asDropdown": True, "icon": "",
                "includeVars": False, "keepTime": True, "targetBlank": False, "tooltip": "", "url": "",
            }
        ],
        "panels": list(_panels(board.rows)),
    }  # fmt: skip


def _panels(rows: tuple[Row, ...]) -> Iterator[Json]:
    """Rows and panels, laid out from left to right."""
    number, y = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [],
            "gridPos": {"h": 1, "w": _ROW_WIDTH, "x": 0, "y": y},
        }  # fmt: skip
        x, y = 0, y + 1
        for panel in row.panels:
            if x + panel.width > _ROW_WIDTH:
                x, y = 0, y + _HEIGHT
            number += 1
            yield _panel(panel, number, x=x, y=y)
            x += panel.width
        y += _HEIGHT


def _panel(panel: Panel, number: int, *, x: int, y: int) -> Json:
    is_table = panel.look is Look.TABLE
    targets = [
        {
            "refId": chr(ord("A") + place),
            "datasource": _SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": is_table,
            "range": not is_table,
            **({"format": "table"} if is_table else {}),
        }
        for place, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.look.value,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": {"h": _HEIGHT, "w": panel.width, "x": x, "y": y},
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        **({"transformations": [_only_labels()]} if is_table else {}),
    }


def _defaults(panel: Panel) -> Json:
    """The unit and thresholds; for lines also how they are drawn."""
    defaults: Json = {"unit": panel.unit, "thresholds": _thresholds(panel)}
    if panel.look is Look.LINES:
        scale: Json = {"type": "log", "log": 10} if panel.log else {"type": "linear"}
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 0,
            "showPoints": "never",
            "spanNulls": False,
            "scaleDistribution": scale,
            "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
        if not panel.log:
            defaults["min"] = 0
    return defaults


def _thresholds(panel: Panel) -> Json:
    """Said for each panel: Grafana's own would call 80 of anything red."""
    base = panel.base if panel.steps else "text"
    steps = [{"value": None, "color": base}, *({"value": value, "color": color} for value, color in panel.steps)]
    return {"mode": "absolute", "steps": steps}


def _options(panel: Panel) -> Json:
    if panel.look is Look.LINES:
        return {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.look is Look.NUMBER:
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    return {"showHeader": True, "cellHeight": "sm"}


def _only_labels() -> Json:
    hidden = ("Time", "__name__", "instance", "job", "process")
    return {"id": "organize", "options": {"excludeByName": dict.fromkeys(hidden, True)}}


def _source_variable() -> Json:
    return {
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0,
        "current": {"text": "default", "value": "default"}, "options": [], "refresh": 1,
        "regex": "", "multi": False, "includeAll": False,
    }  # fmt: skip


def _variable(variable: Variable) -> Json:
    if variable.default:
        current = {"text": variable.default, "value": variable.default, "selected": True}
        return {
            "name": variable.name, "label": variable.label, "type": "textbox", "query": variable.default, "hide": 0,
            "current": current, "options": [current],
        }  # fmt: skip
    return {
        "name": variable.name, "label": variable.label, "type": "query", "datasource": _SOURCE, "hide": 0,
        "query": {"query": variable.query, "refId": variable.name}, "refresh": 2,
        "multi": True, "includeAll": True, "allValue": ".*", "sort": 1, "regex": "", "options": [],
        "current": {"text": "All", "value": "$__all", "selected": True},
    }  # fmt: skip


def _trials() -> Json:
    """A mark where a trial of a benchmark begins."""
    return {
        "name": "Benchmark trials",
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": f"{benchmark.TRIAL.full_name} unless {benchmark.TRIAL.full_name} offset 15s",
        "titleFormat": "trial {{runtime}} {{workload}}",
        "step": "15s",
    }
