"""`control` and `gateway`: the two processes of the platform, started by `up` or each by itself.

Each imports its own parts alone, and late: how fast it is back after its death is mostly how fast it imports.
"""

import asyncio
import os
import signal
import socket
import sys
from typing import Protocol

import uvloop

from tokenforge import __version__
from tokenforge.cli.metrics_page import metrics_told
from tokenforge.cli.platform_places import platform_store
from tokenforge.gateway.guard import is_loopback
from tokenforge.protocol.listening import bind
from tokenforge.settings import Settings, read_settings
from tokenforge.telemetry.logs import set_up_logs
from tokenforge.telemetry.page import new_registry
from tokenforge.worker.process import hold_lifeline, raise_file_limit


def run_control(*, lifeline_fd: int | None, owner: str | None) -> int:
    """Reconcile until SIGTERM; waits while another control leads."""
    from tokenforge.cli.cluster_wiring import cluster_control
    from tokenforge.cli.platform_wiring import make_control, make_executor
    from tokenforge.telemetry.control_metrics import ControlMetrics

    settings = read_settings()
    _begin("control", settings, lifeline_fd)

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        metrics = ControlMetrics(new_registry(__version__))
        store = platform_store(settings)
        try:
            async with metrics_told(settings, metrics.registry, process="control"):
                control = make_control(settings, store, lifeline_fd=lifeline_fd, owner=owner, metrics=metrics)
                executor = make_executor(settings, store, control)
                async with cluster_control(settings, control):
                    await work_together(control, executor, stop)
        finally:
            await store.close()

    asyncio.run(main())
    return 0


class Works(Protocol):
    """What works until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        ...


async def work_together(control: Works, executor: Works, stop: asyncio.Event) -> None:
    """Until `stop`; first what the executor runs is closed, and only then control gives its lease back.

    An error in one that it did not foresee ends both, and so the process: `up` starts another.
    """
    reconciling = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(executor.run(stop))
        group.create_task(control.run(reconciling))
        await running
        reconciling.set()


def listener_of(host: str, port: int, *, socket_fd: int | None, is_shared: bool) -> socket.socket:
    """A listening socket: the one that was inherited, or a new one. Raises PortInUse, or Unauthorized without a key."""
    if socket_fd is not None:
        return socket.socket(fileno=socket_fd)
    if not is_loopback(host):
        from tokenforge.cli.keys import require_key

        require_key(host)
    return bind(host, port, is_shared=is_shared)


def run_gateway(listener: socket.socket, *, lifeline_fd: int | None) -> int:
    """Serve until SIGTERM."""
    from tokenforge.cli.gateway_wiring import make_gateway
    from tokenforge.gateway.http.limits import Limits, most_connections
    from tokenforge.gateway.page_server import page_served
    from tokenforge.gateway.server import serve

    settings = read_settings()
    _begin("gateway", settings, lifeline_fd)
    listener.setblocking(False)
    is_private = is_loopback(listener.getsockname()[0])

    async def main() -> None:
        store = platform_store(settings)
        try:
            parts = make_gateway(settings, store, is_loopback=is_private)
            async with metrics_told(settings, parts.registry, process="gateway", served=page_served):
                await serve(parts, listener=listener, limits=Limits(connections=most_connections()))
        finally:
            await store.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return 0


def _begin(name: str, settings: Settings, lifeline_fd: int | None) -> None:
    set_up_logs(sys.stderr, process=name, form=settings.observing.log_form)
    raise_file_limit()
    if lifeline_fd is not None:
        os.set_inheritable(lifeline_fd, True)
        hold_lifeline(lifeline_fd, lambda: os.kill(os.getpid(), signal.SIGTERM))
