"""The memory of an API server twin: objects, their versions, the log that watches read, and how objects end."""

import asyncio
import copy
import itertools
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kube_apply import Owners

JsonObject = dict[str, Any]
Key = tuple[str, str, str]
"""Collection (`apps/v1/deployments`), namespace, name."""


class Refusal(Exception):
    """An answer that is a Status."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def body(self) -> JsonObject:
        return {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "reason": self.reason, "code": self.status,
        }  # fmt: skip


@dataclass(slots=True)
class KubeStore:
    """`forgotten` is the newest version that no watch can start from any more."""

    version: int = 1000
    forgotten: int = 0
    objects: dict[Key, JsonObject] = field(default_factory=dict)
    by_collection: dict[str, dict[Key, JsonObject]] = field(default_factory=dict)
    owners: dict[Key, Owners] = field(default_factory=dict)
    log: list[tuple[int, str, str, JsonObject]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def get(self, key: Key) -> JsonObject:
        """Raises Refusal 404."""
        if key not in self.objects:
            raise Refusal(404, "NotFound", f'{key[0].rpartition("/")[2]} "{key[2]}" not found')
        return self.objects[key]

    def list(self, collection: str, namespace: str | None) -> list[tuple[Key, JsonObject]]:
        """Those of a collection."""
        return [
            (key, value)
            for key, value in sorted(self.by_collection.get(collection, {}).items())
            if namespace is None or key[1] == namespace
        ]

    def create(self, key: Key, value: JsonObject, *, manager: str) -> JsonObject:
        """Raises Refusal 409."""
        if key in self.objects:
            raise Refusal(409, "AlreadyExists", f'"{key[2]}" already exists')
        made = copy.deepcopy(value)
        meta = made.setdefault("metadata", {})
        meta |= {"name": key[2], "uid": str(uuid.uuid4()), "creationTimestamp": now_text(), "generation": 1}
        if key[1]:
            meta["namespace"] = key[1]
        self.owners.setdefault(key, Owners()).updated({}, value, manager=manager)
        return self._write(key, made, "ADDED")

    def replace(self, key: Key, value: JsonObject, *, manager: str) -> JsonObject:
        """A whole object. Raises Refusal 409 when its version is not the live one."""
        live = self.get(key)
        asked = value.get("metadata", {}).get("resourceVersion")
        if asked not in (None, live["metadata"]["resourceVersion"]):
            raise Refusal(409, "Conflict", "the object has been modified; please apply to the latest version")
        self.owners[key].updated(live, value, manager=manager)
        return self._change(key, value)

    def apply(self, key: Key, value: JsonObject, *, manager: str, is_forced: bool, is_dry: bool = False) -> JsonObject:
        """Server-side apply. Raises Refusal 409 for fields of others."""
        is_new = key not in self.objects
        owners = copy.deepcopy(self.owners.get(key, Owners())) if not is_new else Owners()
        named = {"name": key[2], **({"namespace": key[1]} if key[1] else {})}
        first = {"apiVersion": value["apiVersion"], "kind": value["kind"], "metadata": named}
        live = first if is_new else self.objects[key]
        conflicts = [] if is_forced else owners.conflicts(live, value, manager=manager)
        if conflicts:
            raise Refusal(409, "Conflict", f"Apply failed with {len(conflicts)} conflicts: {', '.join(conflicts)}")
        merged = owners.applied(live, value, manager=manager)
        if is_dry:
            return merged
        if is_new:
            made = self.create(key, merged, manager=manager)
            self.owners[key] = owners
            return made
        self.owners[key] = owners
        return self._change(key, merged)

    def patch_status(self, key: Key, status: JsonObject) -> JsonObject:
        """Merge into the status alone."""
        value = copy.deepcopy(self.get(key))
        _merge(value.setdefault("status", {}), status)
        return self._change(key, value)

    def delete(self, key: Key, *, grace_s: float | None, propagation: str) -> JsonObject:
        """Ask for its end: at once, after its grace (pods on a node), or when its finalizers are gone."""
        value = copy.deepcopy(self.get(key))
        meta = value["metadata"]
        if key[0] == "v1/pods" and value["spec"].get("nodeName"):
            grace_s = value["spec"].get("terminationGracePeriodSeconds", 30) if grace_s is None else grace_s
        else:
            grace_s = 0
        if propagation == "Foreground":
            meta["finalizers"] = sorted({*meta.get("finalizers", []), "foregroundDeletion"})
        if not meta.get("finalizers") and grace_s == 0:
            return self._remove(key)
        if "deletionTimestamp" not in meta or grace_s < meta.get("deletionGracePeriodSeconds", 0):
            meta |= {"deletionTimestamp": now_text(grace_s), "deletionGracePeriodSeconds": int(grace_s)}
        return self._change(key, value)

    def drop_finalizer(self, key: Key, name: str) -> None:
        """Take one off; the last one lets a deleted object go."""
        value = copy.deepcopy(self.get(key))
        value["metadata"]["finalizers"] = [f for f in value["metadata"].get("finalizers", []) if f != name]
        self._change(key, value)

    def since(self, version: int, collection: str) -> Iterator[tuple[int, str, JsonObject]]:
        """What was written after `version`. Raises Refusal 410 when that is forgotten."""
        if version < self.forgotten:
            raise Refusal(410, "Expired", f"too old resource version: {version} ({self.forgotten})")
        start = len(self.log)
        while start and self.log[start - 1][0] > version:
            start -= 1
        for number, kind, of, value in itertools.islice(self.log, start, None):
            if of == collection:
                yield number, kind, value

    def forget(self) -> None:
        """As a compaction does."""
        self.forgotten = self.version
        self.log.clear()

    def _change(self, key: Key, value: JsonObject) -> JsonObject:
        """Write what differs; a deleted object without finalizers goes."""
        live = self.objects[key]
        fresh = copy.deepcopy(value)
        fixed = ("uid", "creationTimestamp", "resourceVersion", "generation")
        fresh["metadata"] |= {name: live["metadata"][name] for name in fixed}
        if fresh == live:
            return live
        if fresh.get("spec") != live.get("spec"):
            fresh["metadata"]["generation"] += 1
        meta = fresh["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds"):
            return self._remove(key)
        return self._write(key, fresh, "MODIFIED")

    def _write(self, key: Key, value: JsonObject, kind: str) -> JsonObject:
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = value
        self.by_collection.setdefault(key[0], {})[key] = value
        self._tell(kind, key, value)
        return value

    def _remove(self, key: Key) -> JsonObject:
        value = copy.deepcopy(self.objects.pop(key))
        del self.by_collection[key[0]][key]
        self.owners.pop(key, None)
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", key, value)
        return value

    def _tell(self, kind: str, key: Key, value: JsonObject) -> None:
        self.log.append((self.version, kind, key[0], value))
        self.news.set()
        self.news = asyncio.Event()


def matches(value: JsonObject, *, labels: str, fields: str) -> bool:
    """Whether both selectors (equality alone) take it."""
    own = value["metadata"].get("labels") or {}
    if any(own.get(name) != wanted for name, wanted in _pairs(labels)):
        return False
    return all(str(_field(value, name)) == wanted for name, wanted in _pairs(fields))


def now_text(after_s: float = 0.0) -> str:
    """As the API writes times."""
    return (datetime.now(UTC) + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name, wanted) for name, _, wanted in (part.partition("=") for part in text.split(",") if part)]


def _field(value: Mapping[str, Any], path: str) -> Any:
    here: Any = value
    for part in path.split("."):
        here = here.get(part, "") if isinstance(here, dict) else ""
    return here


def _merge(value: JsonObject, patch: Mapping[str, Any]) -> None:
    for name, item in patch.items():
        if item is None:
            value.pop(name, None)
        elif isinstance(item, dict) and isinstance(value.get(name), dict):
            _merge(value[name], item)
        else:
            value[name] = copy.deepcopy(item)
