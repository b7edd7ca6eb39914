"""A reflector against an API server that does all that such servers do: it never lies for long, and never runs wild."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from operator import eq
from pathlib import Path

import pytest
from kube_server import KubeServer
from kube_store import KubeStore
from placement_rigs import write_kubeconfig

from tokenforge.cluster.kubernetes.api import Api, connect
from tokenforge.cluster.kubernetes.reflector import MOST_WAIT_S, Reflector
from tokenforge.domain.errors import ClusterUnreachable, InvalidInput

PATH = "/api/v1/namespaces/space/pods"


@dataclass(slots=True)
class Watched:
    """A server, a reflector of its pods labelled `a=1`, and how often that told of a change."""

    server: KubeServer
    reflector: Reflector
    api: Api
    changes: list[int]

    def put(self, name: str, *, mark: str = "", label: str = "1") -> None:
        key = ("v1/pods", "space", name)
        value = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": label}, "annotations": {"mark": mark}},
            "spec": {},
        }  # fmt: skip
        store = self.server.store
        if key in store.objects:
            live = store.objects[key]
            store.replace(key, {**live, "metadata": {**live["metadata"], "annotations": {"mark": mark}}}, manager="t")
        else:
            store.create(key, value, manager="t")

    def drop(self, name: str) -> None:
        self.server.store.delete(("v1/pods", "space", name), grace_s=0, propagation="Background")

    async def until(self, is_so: Callable[[dict[str, str]], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_so(self.held()):  # noqa: ASYNC110 - what is waited for is told by nobody
                await asyncio.sleep(0.01)

    def held(self) -> dict[str, str]:
        return {name: value["metadata"]["annotations"]["mark"] for name, value in self.reflector.objects.items()}


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    server = KubeServer(KubeStore())
    await server.start()
    api, _ = connect(write_kubeconfig(tmp_path / "kubeconfig", server.url))
    changes: list[int] = []
    reflector = Reflector(
        api=api, path=PATH, params={"labelSelector": "a=1"}, on_change=lambda: changes.append(1), chance=lambda: 0.0
    )
    task = asyncio.create_task(reflector.run())
    yield Watched(server, reflector, api, changes)
    assert not task.done()
    task.cancel()
    await api.close()
    await server.stop()


async def test_what_is_there_what_comes_and_what_goes_is_held(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    watched.put("b")
    watched.put("a", mark="2")
    await watched.until(lambda held: held == {"a": "2", "b": ""})
    watched.drop("a")
    await watched.until(lambda held: held == {"b": ""})


async def test_others_are_not_held(watched: Watched) -> None:
    watched.put("theirs", label="2")
    watched.put("ours")
    await watched.until(lambda held: held == {"ours": ""})


async def test_many_are_listed_page_by_page(watched: Watched) -> None:
    for number in range(1_203):
        watched.put(f"p{number}")
    watched.server.store.forget()
    watched.server.cut_watches()
    await watched.until(lambda held: len(held) == 1_203)


async def test_a_watch_that_is_cut_goes_on_where_it_was(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    lists = watched.reflector.lists
    for mark in "bcd":
        watched.server.cut_watches()
        watched.put("a", mark=mark)
        await watched.until(partial(eq, {"a": mark}))
    assert watched.reflector.lists == lists


async def test_after_a_version_is_forgotten_everything_is_listed_again(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    watched.server.is_failing = True
    watched.server.cut_watches()
    watched.drop("a")
    watched.put("b")
    watched.server.store.forget()
    watched.server.is_failing = False
    await watched.until(lambda held: held == {"b": ""})


async def test_bookmarks_keep_a_quiet_watch_from_being_forgotten(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    lists, before = watched.reflector.lists, watched.reflector._version
    watched.put("theirs", label="2")
    async with asyncio.timeout(30):
        while watched.reflector._version == before:  # noqa: ASYNC110 - a bookmark changes nothing that tells
            await asyncio.sleep(0.01)
    watched.server.store.forget()
    watched.server.cut_watches()
    watched.put("b")
    await watched.until(lambda held: set(held) == {"a", "b"})
    assert watched.reflector.lists == lists


async def test_while_nothing_answers_what_is_held_stays_and_few_ask(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    await watched.server.stop()
    before = watched.reflector.watches
    await asyncio.sleep(1.0)
    assert watched.held() == {"a": ""}
    assert isinstance(watched.reflector.trouble, ClusterUnreachable)
    assert watched.reflector.watches - before <= 6
    await watched.server.start()
    watched.put("b")
    await watched.until(lambda held: set(held) == {"a", "b"})
    assert watched.reflector.trouble is None


async def test_a_server_that_was_away_for_long_is_found_soon_after_it_is_back(watched: Watched) -> None:
    waits = [watched.reflector._failed(ClusterUnreachable("away")) for _ in range(40)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] <= MOST_WAIT_S <= 3.0


async def test_a_version_that_the_server_has_not_come_to_is_listed_again_at_once(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    lists = watched.reflector.lists
    watched.server.too_new = True
    watched.server.cut_watches()
    watched.put("b")
    await watched.until(lambda held: set(held) == {"a", "b"})
    assert watched.reflector.lists > lists
    assert watched.reflector.trouble is None
    watched.server.too_new = False


async def test_a_server_that_went_back_in_time_is_listed_again(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    await watched.server.stop()
    watched.server.store.log.clear()
    watched.server.store.version = 7  # as after a restore; a watch from the version before would wait for ever
    watched.drop("a")
    watched.put("b")
    for _ in range(5):
        watched.reflector._failed(ClusterUnreachable("too large resource version"))
    await watched.server.start()
    await watched.until(lambda held: held == {"b": ""})


async def test_one_that_is_made_again_under_its_name_is_the_new_one(watched: Watched) -> None:
    watched.put("a", mark="1")
    await watched.until(lambda held: held == {"a": "1"})
    watched.drop("a")
    watched.put("a", mark="2")
    await watched.until(lambda held: held == {"a": "2"})


async def test_a_list_that_changes_nothing_tells_nobody(watched: Watched) -> None:
    watched.put("a")
    await watched.until(lambda held: held == {"a": ""})
    told, lists = len(watched.changes), watched.reflector.lists
    watched.server.store.version += 1
    watched.server.store.forget()
    watched.server.cut_watches()
    async with asyncio.timeout(30):
        while watched.reflector.lists == lists:  # noqa: ASYNC110 - nothing is told, that is the point
            await asyncio.sleep(0.01)
    assert len(watched.changes) == told


@pytest.mark.parametrize("text", ["", "{}", "not: [yaml", '{"current-context": "c", "contexts": []}'])
def test_a_kubeconfig_that_names_no_cluster_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(InvalidInput, match="kubeconfig"):
        connect(file)
