"""`deploy`, `deployments`, `delete`, `logs`: the client's side of deployments."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tokenforge.cli.server import server_of
from tokenforge.cli.show import print_json, print_table
from tokenforge.client.api import Api, ServerRefused
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.settings import read_settings

_POLL_S = 0.3
_WAIT_LIMIT_S = 3600.0
_AT_REST = ("stopped", "idle")
"""Nothing runs, and nothing is meant to."""

_FAILED_LIMIT = 3
"""How many tries in a row may fail until a waiting command gives up; the server goes on trying."""


def api_of(server: str | None) -> Api:
    """The server that was named, or the one that is up here."""
    settings = read_settings()
    return Api(url=server or server_of(settings), key=settings.api_key)


def given(**options: object) -> dict[str, object]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}


def engine_args(pairs: Sequence[str]) -> dict[str, object]:
    """`NAME=VALUE` for an engine. Raises InvalidInput."""
    return named_values(pairs, option="--engine-arg")


def autoscale(text: str | None) -> dict[str, object] | None:
    """`NAME=VALUE,...` as the field of a body. Raises InvalidInput."""
    return None if text is None else named_values(text.split(","), option="--autoscale")


def named_values(pairs: Sequence[str], *, option: str) -> dict[str, object]:
    """`NAME=VALUE`, the value as JSON where it is JSON. Raises InvalidInput."""
    read: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            hint = "write NAME=VALUE"
            raise InvalidInput([Fault(field=option, value=pair, message="has no =", hint=hint)], source="options")
        try:
            read[name] = json.loads(text)
        except ValueError:
            read[name] = text
    return read


def deploy(body: Mapping[str, object], *, wait: bool, server: str | None, as_json: bool) -> int:
    """Ask for it; when waiting, 0 once it serves and 1 when it keeps failing."""
    api = api_of(server)
    made: dict[str, Any] = api.call("POST", "/deploy", body)
    if wait:
        made = _until_settled(api, made)
    if as_json:
        print_json(made)
    else:
        print(f"{made['name']} is {made['status']} ({made['id']})")
        _print_causes(made)
    return 1 if wait and not made["ready"] and made["status"] not in _AT_REST else 0


def show(*, server: str | None, as_json: bool) -> int:
    """A table of all of them."""
    listed: dict[str, Any] = api_of(server).get("/deployments")
    if as_json:
        print_json(listed)
        return 0
    rows = [
        (
            d["name"], d["model"], d["runtime"], d["status"],
            f"{sum(r['phase'] == 'ready' for r in d['observed']['replicas'])}/{d['observed']['wanted']}",
        )
        for d in listed["deployments"]
    ]  # fmt: skip
    print_table(("name", "model", "runtime", "status", "ready"), rows)
    for d in listed["deployments"]:
        if cause := _cause(d):
            print(f"{d['name']}: {cause}")
    return 0


def delete(deployment: str, *, wait: bool, server: str | None, as_json: bool) -> int:
    """End it; when waiting, until nothing is left."""
    api = api_of(server)
    path = f"/deployments/{quote(deployment, safe='')}"
    made: dict[str, Any] = api.call("DELETE", path)
    until = time.monotonic() + _WAIT_LIMIT_S
    while wait and time.monotonic() < until:
        try:
            api.get(f"/deployments/{made['id']}")
        except ServerRefused as error:
            if error.status != 404:
                raise
            break
        time.sleep(_POLL_S)
    if as_json:
        print_json(made)
    else:
        print(f"{made['name']} is {'deleted' if wait else 'being deleted'}")
    return 0


def logs(deployment: str, *, lines: int, events: bool, server: str | None, as_json: bool) -> int:
    """Its workers' logs, or its events."""
    path = f"/deployments/{quote(deployment, safe='')}"
    api = api_of(server)
    if not events:
        text = api.text(f"{path}/logs?lines={lines}")
        if as_json:
            print_json({"deployment": deployment, "lines": text.splitlines()})
        else:
            sys.stdout.write(text)
        return 0
    happened = [json.loads(event.data) for event in api.events("GET", f"{path}/events?follow=false")]
    if as_json:
        print_json({"deployment": deployment, "events": happened})
        return 0
    for event in happened:
        print(f"{event['at']}  {event['reason']}: {event['message']}")
    return 0


def _until_settled(api: Api, made: dict[str, Any]) -> dict[str, Any]:
    said = ""
    until = time.monotonic() + _WAIT_LIMIT_S
    while time.monotonic() < until:
        made = api.get(f"/deployments/{made['id']}")
        is_over = made["ready"] or made["status"] in _AT_REST
        if is_over or (made["status"] == "failed" and made["observed"]["failures"] >= _FAILED_LIMIT):
            return made
        now = f"{made['name']}: {made['status']}" + (f" ({_cause(made)})" if _cause(made) else "")
        if now != said:
            print(now, file=sys.stderr)
            said = now
        time.sleep(_POLL_S)
    return made


def _cause(deployment: Mapping[str, Any]) -> str:
    """The condition that says most, in one line; nothing when all is well."""
    if deployment["ready"] or deployment["status"] in _AT_REST:
        return ""
    by_type = {condition["type"]: condition for condition in deployment["conditions"]}
    for kind in ("Healthy", "Prepared", "Ready"):
        condition = by_type.get(kind)
        if condition is not None and condition["status"] == "False":
            return f"{condition['reason']}: {condition['message']}"
    return ""


def _print_causes(deployment: Mapping[str, Any]) -> None:
    cause = _cause(deployment)
    if not cause:
        return
    print(f"  {cause}", file=sys.stderr)
    words: list[str] = next((c["last_words"] for c in deployment["conditions"] if c["last_words"]), [])
    if words:
        print("  Last words of its worker:", *(f"    {line}" for line in words[-10:]), sep="\n", file=sys.stderr)
