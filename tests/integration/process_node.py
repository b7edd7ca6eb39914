"""A node whose containers are processes of this machine: what a manifest says is really run, probed, drained and ended.

It does what a kubelet does with the parts that our pods have: first containers one after another, readiness by HTTP, a
crash with its last words and a restart, preStop, SIGTERM, the grace period, SIGKILL. What it lacks is isolation.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from command import COMMAND
from hollow_node import HollowNode
from kube_store import now_text

from tokenforge.domain.errors import ClusterRefused, ClusterUnreachable

JsonObject = dict[str, Any]
_TICK_S = 0.1


@dataclass(slots=True)
class ProcessNode:
    """`hollow` is where it is registered; `home` stands for the cache volume, `folder` for the others and for logs.

    `secrets` are what Secrets of each name hold.
    """

    hollow: HollowNode
    home: Path
    folder: Path
    crashes: int = 0
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _pods: dict[str, "_Pod"] = field(default_factory=dict)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(2))

    async def run(self) -> None:
        """Care for what is bound to it, until cancelled; then nothing runs any more."""
        await self.hollow.register()
        try:
            while True:
                with contextlib.suppress(ClusterUnreachable, ClusterRefused):
                    await self.hollow.beat()
                    for value in await self.hollow.pods():
                        self._see(value)
                await asyncio.sleep(_TICK_S)
        finally:
            for pod in self._pods.values():
                pod.kill()
            for task in self._tasks:
                task.cancel()
            ending = [pod.process.wait() for pod in self._pods.values() if pod.process is not None]
            await asyncio.gather(*ending, return_exceptions=True)

    def _see(self, value: JsonObject) -> None:
        uid = value["metadata"]["uid"]
        if uid not in self._pods:
            number = next(self._numbers)
            pod = self._pods[uid] = _Pod(self, value, address=f"127.0.{2 + number // 250}.{number % 250 + 1}")
            is_worker = "initContainers" in value["spec"]
            task = asyncio.create_task(pod.live() if is_worker else pod.live_once())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if "deletionTimestamp" in value["metadata"]:
            self._pods[uid].ending.set()


@dataclass(slots=True)
class _Pod:
    """One pod's life."""

    node: ProcessNode
    value: JsonObject
    address: str
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    last: JsonObject = field(default_factory=dict)

    async def live(self) -> None:
        """From its first container to the end of its last."""
        spec = self.value["spec"]
        if await self._run_first(spec["initContainers"][0]):
            ending = asyncio.create_task(self.ending.wait())
            while not self.ending.is_set():
                working = asyncio.create_task(self._work(spec["containers"][0]))
                await asyncio.wait({ending, working}, return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    await self._leave(spec)
                    await working
            ending.cancel()
        else:
            await self.ending.wait()
        await self._call("DELETE", "", {"gracePeriodSeconds": 0})

    async def live_once(self) -> None:
        """A pod of a Job: one container to its end, whose status is the pod's."""
        container = self.value["spec"]["containers"][0]
        process = await self._spawn(container)
        running = {"name": container["name"], "image": "here", "imageID": "", "restartCount": 0, "ready": True}
        await self._say_once("Running", {**running, "state": {"running": {"startedAt": now_text()}}})
        ending, working = asyncio.create_task(self.ending.wait()), asyncio.create_task(process.wait())
        await asyncio.wait({ending, working}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            with contextlib.suppress(TimeoutError, ProcessLookupError):
                async with asyncio.timeout(self.value["spec"]["terminationGracePeriodSeconds"]):
                    process.terminate()
                    await process.wait()
            self.kill()
        code = await working
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": self._words()}
        phase = "Failed" if code else "Succeeded"
        await self._say_once(phase, {**running, "ready": False, "state": {"terminated": ended}})
        await ending
        await self._call("DELETE", "", {"gracePeriodSeconds": 0})

    async def _say_once(self, phase: str, container: JsonObject) -> None:
        status = {"phase": phase, "podIP": self.address, "containerStatuses": [container]}
        await self._call("PATCH", "/status", {"status": status}, kind="application/merge-patch+json")

    def kill(self) -> None:
        """Now."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def _run_first(self, container: JsonObject) -> bool:
        code = await (await self._spawn(container)).wait()
        if code:
            ended = {"exitCode": code, "reason": "Error", "message": self._words()}
            await self._say(model={"state": {"terminated": ended}}, worker=_WAITS)
        return code == 0

    async def _work(self, container: JsonObject) -> None:
        """One life of the worker."""
        process = await self._spawn(container)
        running: JsonObject = {"state": {"running": {"startedAt": now_text()}}, **self.last}
        await self._say(model=_DONE, worker={**running, "started": False, "ready": False})
        probing = asyncio.create_task(self._until_ready(running))
        code = await process.wait()
        probing.cancel()
        if not self.ending.is_set():
            self.node.crashes += 1
            self.restarts += 1
            self.last = {"lastState": {"terminated": {"exitCode": code, "reason": "Error", "message": self._words()}}}
            waits = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "ready": False, "started": False}
            await self._say(model=_DONE, worker={**waits, **self.last})
            await asyncio.sleep(1.0)

    async def _until_ready(self, running: JsonObject) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"http://{self.address}:8000/health/ready") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.1)
        await self._say(model=_DONE, worker={**running, "started": True, "ready": True})

    async def _leave(self, spec: JsonObject) -> None:
        """preStop, SIGTERM, and SIGKILL once the grace is over."""
        process = self.process
        assert process is not None
        with contextlib.suppress(TimeoutError, ProcessLookupError):
            async with asyncio.timeout(spec["terminationGracePeriodSeconds"]):
                await asyncio.sleep(float(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1]))
                process.terminate()
                await process.wait()
        self.kill()

    async def _spawn(self, container: JsonObject) -> asyncio.subprocess.Process:
        """As the manifest says, but for the address, and for the folders that stand for its volumes."""
        program, group, *rest = container["command"]
        assert program == "tokenforge"
        if group == "replica":
            rest[-1] = json.dumps({**json.loads(rest[-1]), "host": self.address})
        with self._log().open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *COMMAND, group, *rest, env=self._environment(container), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self.process

    def _environment(self, container: JsonObject) -> Mapping[str, str]:
        told = {entry["name"]: self._value(entry) for entry in container["env"]}
        places = {"/var/lib/tokenforge": str(self.node.home), "/tmp": str(self.node.folder)}
        for name, value in told.items():
            for inside, outside in places.items():
                if value == inside or value.startswith(f"{inside}/"):
                    told[name] = outside + value.removeprefix(inside)
        return {**{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}, **told}

    def _value(self, entry: JsonObject) -> str:
        """Of a Secret, of a field of the pod, or as it is written."""
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            return self.node.secrets.get(source["secretKeyRef"]["name"], {}).get(source["secretKeyRef"]["key"], "")
        if "fieldRef" in source:
            place, _, field_name = source["fieldRef"]["fieldPath"].partition(".")
            return str(self.value[place].get(field_name, ""))
        return str(entry.get("value", ""))

    def _log(self) -> Path:
        return self.node.folder / f"{self.value['metadata']['name']}.log"

    def _words(self) -> str:
        return "\n".join(self._log().read_text(errors="replace").splitlines()[-20:])

    async def _say(self, *, model: JsonObject, worker: JsonObject) -> None:
        is_ready = bool(worker.get("ready"))
        common = {"image": "here", "imageID": ""}
        statuses = [{"name": "worker", "restartCount": self.restarts, **common, "ready": False, **worker}]
        conditions = [
            {"type": kind, "status": "True" if is_ready or kind == "PodScheduled" else "False"}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ]
        status = {
            "phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}], "conditions": conditions,
            "containerStatuses": statuses,
            "initContainerStatuses": [{"name": "model", "restartCount": 0, **common, "ready": False, **model}],
        }  # fmt: skip
        await self._call("PATCH", "/status", {"status": status}, kind="application/merge-patch+json")

    async def _call(self, method: str, suffix: str, body: JsonObject, *, kind: str = "application/json") -> None:
        """Again and again while the server is away; a pod that is gone needs nothing more."""
        hollow = self.node.hollow
        path = f"/api/v1/namespaces/{hollow.namespace}/pods/{self.value['metadata']['name']}{suffix}"
        while True:
            try:
                await hollow.api.call(method, path, body=body, kind=kind)
            except ClusterUnreachable:
                await asyncio.sleep(0.2)
            except ClusterRefused:
                return
            else:
                return


_DONE: JsonObject = {"ready": True, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
_WAITS: JsonObject = {"state": {"waiting": {"reason": "PodInitializing"}}}
