"""Control's parts, put together, and what runs benchmarks beside it."""

import logging
import os
import socket
import sys
import time
import uuid
from functools import partial
from pathlib import Path

import psutil

from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.bench.environment import detect_accelerator
from tokenforge.cli.platform_places import fleet_folder, most_replicas, new_id, now_text, platform_archive
from tokenforge.cli.server import platform_folder, server_of
from tokenforge.cluster.local_fleet import LocalFleet
from tokenforge.cluster.probe import answers
from tokenforge.control.bench_places import BenchPlaces
from tokenforge.control.bench_process import BenchCommand
from tokenforge.control.card_table import ReadCards, look_at
from tokenforge.control.executor import Executor
from tokenforge.control.load_keys import LoadKeys
from tokenforge.control.loop import Control
from tokenforge.control.preparations import Preparations
from tokenforge.control.prepare import Machine, prepare
from tokenforge.control.probes import LIMIT_S, Probes
from tokenforge.domain.runtime import Accelerator
from tokenforge.protocol.replica_rules import require_room
from tokenforge.settings import Settings
from tokenforge.store.sql.store import Store
from tokenforge.telemetry.control_metrics import ControlMetrics
from tokenforge.telemetry.gpus import find_gpus, find_usable

_log = logging.getLogger(__name__)


def make_control(
    settings: Settings, store: Store, *, lifeline_fd: int | None, owner: str | None, metrics: ControlMetrics
) -> Control:
    """Control over workers of this machine. Who starts it again after its death may give both the same `owner`."""
    machine = _machine(settings)
    return Control(
        deployments=store.deployments,
        observations=store.observations,
        events=store.events,
        demands=store.demands,
        leases=store.leases,
        fleet=LocalFleet(folder=fleet_folder(settings), lifeline_fd=lifeline_fd),
        preparations=Preparations(work=lambda spec, tell: prepare(spec, machine=machine, tell=tell)),
        owner=owner or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        new_id=lambda: uuid.uuid4().hex[:8],
        free_bytes=_free_bytes,
        drain_s=settings.drain_s,
        start_limit_s=settings.start_limit_s,
        most_replicas=most_replicas(settings),
        silence_limit_s=settings.silence_limit_s,
        read_cards=reader_of_cards(settings, machine.accelerator),
        probes=Probes(ask=partial(answers, limit_s=LIMIT_S), clock=time.monotonic),
        metrics=metrics,
        observing=settings.observing,
    )


def make_executor(settings: Settings, store: Store, control: Control) -> Executor:
    """What runs queued benchmarks beside that control."""
    return Executor(
        benchmarks=store.benchmarks,
        deployments=store.deployments,
        events=store.events,
        lease=lambda: control.lease,
        folder=platform_folder(settings) / "runs",
        command=BenchCommand(
            head=(sys.executable, "-P", "-m", "tokenforge.cli", "run-queued"),
            env=settings.child_env,
        ),
        places=BenchPlaces(
            benchmarks=store.benchmarks,
            deployments=store.deployments,
            events=store.events,
            gateway_url=lambda: server_of(settings),
            formats=readable_formats(),
            new_id=new_id,
            admit=partial(require_room, most=most_replicas(settings)),
        ),
        archive=platform_archive(settings, store),
        load_keys=LoadKeys(keys=store.keys, random=os.urandom, now=now_text),
    )


def reader_of_cards(settings: Settings, accelerator: Accelerator) -> ReadCards | None:
    """What tells of this machine's GPUs; None without any, and where their driver cannot be asked."""
    if accelerator is Accelerator.CPU:
        return None
    if not find_gpus(None):
        _log.warning("the driver tells of no GPU, so none are given to replicas: each sees all that this process sees")
        return None
    gpus = find_usable(settings.observing.visible_gpus)
    return lambda: look_at(gpus)


def _machine(settings: Settings) -> Machine:
    accelerator = detect_accelerator()
    return Machine(
        home=settings.home,
        find_links=settings.find_links,
        extra_indexes=settings.extra_indexes,
        base_env=settings.child_env,
        hub_offline=settings.hub_offline,
        accelerator=accelerator,
        memory_bytes=_host_memory_bytes() if accelerator is Accelerator.CPU else None,
    )


def _free_bytes() -> float:
    """What this machine can still give, or what its control group has left; cached files can be given back."""
    free: int = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return free
    return min(free, _host_memory_bytes() - used + int(stat.get("inactive_file", 0)))


def _host_memory_bytes() -> int:
    """What this machine has, or its control group may use."""
    total: int = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
