"""A reflector: all objects of one kind that a selector names, in memory, as the API server has them.

List once, then watch from the list's version; bookmarks move that version on, so a watch that is cut goes on where it
was. Only a version that the server has forgotten (410), or does not have yet (a server that came back before its own
memory did), means to list again. Every failure waits, longer each time up to some seconds, with chance in it, so that a
server which comes back is not met by all at once and is not waited for in vain either; a watch that ends as it should
waits too, a little, so that a server which ends them at once is not asked without end. While nothing answers, what is
held stays.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenforge.cluster.kubernetes.api import Api
from tokenforge.domain.errors import TokenForgeError, VersionExpired

_log = logging.getLogger(__name__)

JsonObject = dict[str, Any]

LEAST_WAIT_S = 0.2
MOST_WAIT_S = 3.0
"""So long, and half of it more, may a server be back unseen: a change under way waits for it."""

_DOUBT = 5
"""So many failures in a row may be the version's own fault (a server restored from a backup): list again."""


@dataclass(slots=True, kw_only=True)
class Reflector:
    """`on_change` is called after every change of what is held. `chance` is uniform between 0 and 1."""

    api: Api
    path: str
    params: Mapping[str, str]
    on_change: Callable[[], None]
    chance: Callable[[], float]
    objects: dict[str, JsonObject] = field(default_factory=dict)
    is_synced: bool = False
    trouble: TokenForgeError | None = None
    lists: int = 0
    watches: int = 0
    _version: str = ""
    _failures: int = 0

    async def run(self) -> None:
        """Until cancelled. Never ends by itself."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                wait_s = LEAST_WAIT_S
            except VersionExpired:
                self._version = ""
                wait_s = LEAST_WAIT_S
            except TokenForgeError as error:
                wait_s = self._failed(error)
            except Exception as error:  # noqa: BLE001 - the edge of a task: it must not die of an answer nobody foresaw
                _log.exception("watching %s failed unforeseen", self.path)
                self._version = ""
                wait_s = self._failed(TokenForgeError(f"{type(error).__name__}: {error}"))
            await asyncio.sleep(wait_s * (0.5 + self.chance()))

    async def _list(self) -> None:
        self.lists += 1
        items, version = await self.api.list(self.path, params=self.params)
        fresh = {_key(item): item for item in items}
        is_changed = fresh != self.objects or not self.is_synced
        self.objects, self._version, self.is_synced = fresh, version, True
        self._well()
        if is_changed:
            self.on_change()

    async def _watch(self) -> None:
        self.watches += 1
        async for event in self.api.watch(self.path, params=self.params, version=self._version):
            value = event["object"]
            self._version = str(value["metadata"]["resourceVersion"])
            self._well()
            if event["type"] == "BOOKMARK":
                continue
            key = _key(value)
            if event["type"] == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = value
            self.on_change()

    def _well(self) -> None:
        if self.trouble is not None:
            _log.info("%s is watched again", self.path)
        self.trouble, self._failures = None, 0

    def _failed(self, error: TokenForgeError) -> float:
        if self.trouble is None:
            _log.warning("watching %s: %s", self.path, error)
        self.trouble = error
        self._failures += 1
        if self._failures % _DOUBT == 0:
            self._version = ""
        return min(MOST_WAIT_S, LEAST_WAIT_S * 2.0 ** min(16, self._failures - 1))


def _key(value: JsonObject) -> str:
    """Its name: one that is made again under it comes after the end of the first, in a watch too."""
    return str(value["metadata"]["name"])
