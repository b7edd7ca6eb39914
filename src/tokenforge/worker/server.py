"""The life of a worker: bind, announce, start the engine behind open doors, serve, drain, end."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
import uuid
from collections.abc import Sequence

from tokenforge import __version__
from tokenforge.domain.worker import WorkerSpec
from tokenforge.protocol.listening import LAST_BYTES_S
from tokenforge.protocol.serving import make_server
from tokenforge.protocol.worker_spec import Announcement, WorkerPhase
from tokenforge.runtimes.base import RuntimePlug
from tokenforge.telemetry.accelerators import follow_gpus
from tokenforge.telemetry.gpus import Gpu
from tokenforge.telemetry.page import new_registry, pass_on_foreign
from tokenforge.telemetry.tracing.tracer import make_tracer
from tokenforge.telemetry.worker_metrics import WorkerMetrics
from tokenforge.worker.admission import Admission
from tokenforge.worker.answers import Service
from tokenforge.worker.app import App
from tokenforge.worker.host import CLOSE_LIMIT_S, Host
from tokenforge.worker.process import Announcer, kill_after

_log = logging.getLogger(__name__)


async def serve(
    spec: WorkerSpec, plug: RuntimePlug, *, listener: socket.socket, announcer: Announcer, gpus: Sequence[Gpu] = ()
) -> Host:
    """Serve until a signal asks for the end or the engine dies; the host tells which (`error` None is a clean end).

    `gpus` are those whose state is told on the page of metrics.
    """
    metrics = WorkerMetrics(new_registry(__version__))
    pass_on_foreign(metrics.registry)
    follow_gpus(metrics.registry, gpus)
    admission = Admission(max_waiting=spec.max_waiting)
    metrics.follow_admission(lambda: admission.inside, lambda: admission.capacity)
    port = int(listener.getsockname()[1])

    def on_phase(host: Host) -> None:
        metrics.set_state(host.phase)
        if host.phase is WorkerPhase.READY and host.info is not None:
            admission.open(host.info.max_num_seqs)
            stats = host.stats()
            tells_cached = stats is not None and stats.prefix_queries is not None
            metrics.say_runtime(host.info, load_s=host.load_s, tells_cached=tells_cached)
        _announce(announcer, host, port=port)

    host = Host(spec, build=plug.build, on_phase=on_phase)
    metrics.follow(host.stats)
    on_phase(host)
    tracer = make_tracer(spec.observing, service="tokenforge-worker", version=__version__, instance=spec.name)
    service = Service(host=host, admission=admission, metrics=metrics, new_id=lambda: uuid.uuid4().hex, tracer=tracer)
    server = make_server(App(service, started_s=int(time.time())))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    running = asyncio.create_task(host.run())
    await _until_asked(host)
    await _drain(host, admission, drain_s=spec.drain_s)
    running.cancel()
    await asyncio.wait({running}, timeout=1.0)
    await host.close()
    server.should_exit = True
    await serving
    if tracer is not None:
        await asyncio.to_thread(tracer.close)
    return host


def _announce(announcer: Announcer, host: Host, *, port: int) -> None:
    code = None if host.error is None else str(getattr(host.error, "code", "internal"))
    _log.info("phase=%s port=%d", host.phase.value, port)
    announcer.say(Announcement(port=port, phase=host.phase, cause=host.cause, code=code, info=host.info))


async def _until_asked(host: Host) -> None:
    """Wait for SIGTERM, SIGINT, or the death of the engine."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.ended.set)
    await host.ended.wait()


async def _drain(host: Host, admission: Admission, *, drain_s: float) -> None:
    """Let those inside finish within `drain_s`; a dead engine's streams get only the time to tell their error."""
    limit_s = LAST_BYTES_S if host.error is not None else drain_s
    kill_after(limit_s + CLOSE_LIMIT_S + LAST_BYTES_S + 5.0)
    host.drain()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await admission.empty.wait()
