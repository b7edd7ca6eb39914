"""Grafana's schema of dashboards as JSON Schema, made by npm from its published types; kept in a cache."""

import functools
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

VERSION = "13.2.3"
_CACHE = Path.home() / ".cache" / "tokenforge" / f"grafana-schema-{VERSION}"
_RAW = "node_modules/@grafana/schema/dist/types/raw"
_TYPES = {
    "dashboard": ("dashboard/x/types.gen.d.ts", "Dashboard"),
    "timeseries": ("composable/timeseries/panelcfg/x/types.gen.d.ts", "Options"),
    "stat": ("composable/stat/panelcfg/x/types.gen.d.ts", "Options"),
    "table": ("composable/table/panelcfg/x/types.gen.d.ts", "Options"),
}
_LIMIT_S = 180


@functools.cache
def grafana_schema(name: str) -> Mapping[str, Any]:
    """The schema of `dashboard`, or of the options of a kind of panel. Skips the test where npm cannot make it."""
    made = _CACHE / f"{name}.json"
    if not made.exists():
        _make(name, made)
    schema: Mapping[str, Any] = json.loads(made.read_text(encoding="utf-8"))
    return schema


def _make(name: str, made: Path) -> None:
    if shutil.which("npx") is None:
        pytest.skip("Grafana's schema is made with npm, which is not installed")
    _CACHE.mkdir(parents=True, exist_ok=True)
    if not (_CACHE / "node_modules" / "ts-json-schema-generator").exists():
        packages = (f"@grafana/schema@{VERSION}", "ts-json-schema-generator@2.4.0")
        _run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(_CACHE), *packages)
    file, kind = _TYPES[name]
    generator = ("npx", "ts-json-schema-generator", "--no-type-check", "--path", f"{_RAW}/{file}", "--type", kind)
    made.write_text(_run(*generator), encoding="utf-8")


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=_CACHE, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"Grafana's schema could not be made: {command[0]} took over {_LIMIT_S} s")
    if done.returncode != 0:
        pytest.skip(f"Grafana's schema could not be made: {done.stderr.strip()[-200:]}")
    return done.stdout
