"""The dashboards by the schema of Grafana 13."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from grafana_schema import grafana_schema

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
pytestmark = pytest.mark.timeout(600)


def content(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


@each_file
def test_a_dashboard_is_one_by_grafanas_schema(path: Path) -> None:
    jsonschema_rs.validate(dashboard_schema(), content(path))


def dashboard_schema() -> dict[str, Any]:
    """Grafana's, but for what an annotation asks its data source: that is the data source's own, and not in it."""
    schema: dict[str, Any] = json.loads(json.dumps(grafana_schema("dashboard")))
    schema["definitions"]["AnnotationQuery"]["additionalProperties"] = True
    return schema


@each_file
def test_a_panels_options_are_those_of_its_kind(path: Path) -> None:
    for panel in content(path)["panels"]:
        if panel["type"] != "row":
            schema = {**grafana_schema(panel["type"]), "$ref": "#/definitions/Options"}
            partial = json.loads(json.dumps(schema).replace('"required"', '"x-required"'))
            jsonschema_rs.validate(partial, panel["options"])


def test_the_schema_refuses_what_is_no_dashboard() -> None:
    broken = content(FILES[0])
    broken["panels"][1]["gridPos"] = {"h": "tall"}
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(dashboard_schema(), broken)
