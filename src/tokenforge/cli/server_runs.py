"""`runs list`, `show`, `cancel`, `report`: the client's side of a server's runs."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tokenforge.bench.benchmark_file import read_body
from tokenforge.cli.deployments import api_of
from tokenforge.cli.show import print_json, print_table, size_text
from tokenforge.client.api import Api
from tokenforge.store.artifacts import REPORT_FILE

_WENT_WRONG = ("failed", "interrupted")


def show_all(*, limit: int, server: str | None, as_json: bool) -> int:
    """A table of the newest benchmarks' runs."""
    listed: dict[str, Any] = api_of(server).get(f"/runs?limit={limit}")
    if as_json:
        print_json(listed)
        return 0
    rows = [(run["id"], run["workload"], run["model"], run["runtime"], run["status"]) for run in listed["runs"]]
    print_table(("run", "workload", "model", "runtime", "status"), rows)
    return 0


def show(run: str, *, events: bool, server: str | None, as_json: bool) -> int:
    """One of them, with its files; 1 when it went wrong."""
    api = api_of(server)
    told: dict[str, Any] = api.get(_path(run))
    files = api.get(f"{_path(run)}/artifacts")["artifacts"]
    happened = _events(api, run) if events else None
    if as_json:
        print_json({**told, "artifacts": files, **({} if happened is None else {"events": happened})})
    else:
        print(f"{told['workload']} of {told['model']} on {told['runtime']}: {told['status']}")
        print(f"  run {told['id']}, benchmark {told['benchmark']}, asked {told['created_at']}")
        for event in happened or ():
            print(f"  {event['at']}  {event['message']}")
        for one in files:
            print(f"  {api.url.rstrip('/')}{one['url']} ({size_text(one['bytes'])})")
        if told["cause"]:
            print(f"  {told['cause']}", file=sys.stderr)
    return 1 if told["status"] in _WENT_WRONG else 0


def submit(file: Path, *, server: str | None, as_json: bool) -> int:
    """Queue the benchmark of a file there."""
    made: dict[str, Any] = api_of(server).call("POST", "/benchmarks/run", read_body(file))
    if as_json:
        print_json(made)
        return 0
    print(f"benchmark {made['id']} is {made['status']}; its runs:")
    for run in made["runs"]:
        print(f"  {run['id']}  {run['workload']} of {run['model']} on {run['runtime']}")
    return 0


def cancel(run: str, *, whole: bool, server: str | None, as_json: bool) -> int:
    """This run, or the whole benchmark."""
    api = api_of(server)
    path = _path(run)
    if whole:
        path = f"/benchmarks/{quote(str(api.get(path)['benchmark']), safe='')}"
    made: dict[str, Any] = api.call("POST", f"{path}/cancel")
    if as_json:
        print_json(made)
    else:
        print(f"{'benchmark' if whole else 'run'} {made['id']} is {made['status']}")
    return 0


def report(run: str, *, server: str | None, as_json: bool) -> int:
    """Its address; 1 while there is none."""
    api = api_of(server)
    told: dict[str, Any] = api.get(_path(run))
    files = [one["name"] for one in api.get(f"{_path(run)}/artifacts")["artifacts"]]
    url = f"{api.url.rstrip('/')}{_path(run)}/report" if REPORT_FILE in files else None
    if as_json:
        print_json({"run": told["id"], "status": told["status"], "report": url})
    elif url is not None:
        print(url)
    else:
        print(f"run {told['id']} is {told['status']} and has no report yet", file=sys.stderr)
    return 0 if url is not None else 1


def _path(run: str) -> str:
    return f"/runs/{quote(run, safe='')}"


def _events(api: Api, run: str) -> list[Mapping[str, Any]]:
    return [json.loads(event.data) for event in api.events("GET", f"{_path(run)}/events?follow=false")]
