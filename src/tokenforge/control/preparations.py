"""Preparations that go on beside the loop: one for each deployment, in a thread, watched without waiting."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tokenforge.control.decision import Preparation, PreparationStatus
from tokenforge.control.prepare import Prepared
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.errors import TokenForgeError

_log = logging.getLogger(__name__)
Work = Callable[[DeploymentSpec, Callable[[str], None]], Prepared]


@dataclass(slots=True, kw_only=True)
class Preparations:
    """`work` does one, in a thread, telling its steps."""

    work: Work
    clock: Callable[[], float] = time.time
    _states: dict[DeploymentId, Preparation] = field(default_factory=dict)
    _done: dict[tuple[DeploymentId, str], Prepared] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def begin(self, deployment: Deployment) -> None:
        """Begin (again), unless one of this template is running."""
        template = deployment.spec.template
        now = self._states.get(deployment.id)
        if now is not None and now.template == template and now.status is PreparationStatus.RUNNING:
            return
        self._states[deployment.id] = Preparation(template=template, status=PreparationStatus.RUNNING)
        task = asyncio.create_task(self._run(deployment.id, deployment.spec, template))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def state(self, deployment: DeploymentId) -> Preparation | None:
        """How it stands, None where none was begun."""
        return self._states.get(deployment)

    def prepared(self, deployment: DeploymentId, template: str) -> Prepared:
        """What came of it. Raises KeyError where it is not done."""
        return self._done[deployment, template]

    def fail(self, deployment: Deployment, error: TokenForgeError) -> None:
        """A launch with what was prepared failed: prepare anew before the next try."""
        template = deployment.spec.template
        self._states[deployment.id] = self._failed(template, error)
        self._done.pop((deployment.id, template), None)

    def forget(self, deployment: DeploymentId) -> None:
        """The deployment is gone; a thread that still works ends unheard."""
        self._states.pop(deployment, None)
        for key in [key for key in self._done if key[0] == deployment]:
            del self._done[key]

    async def _run(self, identity: DeploymentId, spec: DeploymentSpec, template: str) -> None:
        def tell(step: str) -> None:
            self._put(identity, Preparation(template=template, status=PreparationStatus.RUNNING, step=step))

        try:
            done = await asyncio.to_thread(self.work, spec, tell)
        except TokenForgeError as error:
            self._put(identity, self._failed(template, error))
        except Exception as error:  # noqa: BLE001 - the edge of a task: whatever went wrong is the deployment's cause
            _log.error("a preparation failed unforeseen", exc_info=error)
            cause = TokenForgeError(f"{type(error).__name__}: {error}", hint="See the log of control")
            self._put(identity, self._failed(template, cause))
        else:
            self._done[identity, template] = done
            self._put(identity, Preparation(template=template, status=PreparationStatus.DONE))

    def _failed(self, template: str, error: TokenForgeError) -> Preparation:
        return Preparation(template=template, status=PreparationStatus.FAILED, error=error, ended_at_s=self.clock())

    def _put(self, identity: DeploymentId, state: Preparation) -> None:
        now = self._states.get(identity)
        if now is not None and now.template == state.template:
            self._states[identity] = state
