"""The parts of the platform, put together for one process each: control and gateway."""

import os
import socket
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.bench.environment import detect_accelerator
from tokenforge.cli.server import platform_folder, server_of, targets_folder
from tokenforge.cluster.fleet_files import FleetFiles
from tokenforge.cluster.local_fleet import LocalFleet
from tokenforge.control.bench_process import BenchCommand
from tokenforge.control.executor import Executor
from tokenforge.control.load_keys import LoadKeys
from tokenforge.control.loop import Control
from tokenforge.control.preparations import Preparations
from tokenforge.control.prepare import Machine, prepare
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.ids import uuid7
from tokenforge.domain.runtime import Accelerator, Quant, RuntimeRef
from tokenforge.gateway.admin.benchmarks import BenchmarkRoutes
from tokenforge.gateway.admin.metric_targets import TargetRoutes
from tokenforge.gateway.admin.operation import Operation
from tokenforge.gateway.server import GatewayParts
from tokenforge.runtimes.registry import find_plug, require_quant
from tokenforge.settings import Settings
from tokenforge.store.sql.database_url import check_database_url
from tokenforge.store.sql.store import Store, open_store
from tokenforge.telemetry.control_metrics import ControlMetrics
from tokenforge.telemetry.targets import TargetFiles

_FEW_REPLICAS = 8
_REPLICAS_PER_CPU = 4


def fleet_folder(settings: Settings) -> Path:
    """Where the files of its workers are."""
    return platform_folder(settings) / "workers"


def platform_store(settings: Settings) -> Store:
    """The database that was set, or the one of this machine. Raises InvalidInput for an address that is none."""
    if settings.database_url is not None:
        return open_store(check_database_url(settings.database_url))
    return open_store(platform_folder(settings) / "platform.db")


def new_id() -> str:
    """A new UUIDv7."""
    return uuid7(unix_ms=time.time_ns() // 1_000_000, random=os.urandom(10))


def make_control(
    settings: Settings, store: Store, *, lifeline_fd: int | None, owner: str | None, metrics: ControlMetrics
) -> Control:
    """Control over workers of this machine. Who starts it again after its death may give both the same `owner`."""
    machine = _machine(settings)
    return Control(
        deployments=store.deployments,
        observations=store.observations,
        events=store.events,
        leases=store.leases,
        fleet=LocalFleet(folder=fleet_folder(settings), lifeline_fd=lifeline_fd),
        preparations=Preparations(work=lambda spec, tell: prepare(spec, machine=machine, tell=tell)),
        owner=owner or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        new_id=lambda: uuid.uuid4().hex[:8],
        free_bytes=_free_bytes,
        drain_s=settings.drain_s,
        metrics=metrics,
        observing=settings.observing,
    )


def make_gateway(settings: Settings, store: Store, *, is_loopback: bool) -> GatewayParts:
    """A gateway over the same store. `is_loopback`: it listens where only this machine reaches it."""
    accelerator = detect_accelerator()
    files = FleetFiles(fleet_folder(settings))
    targets = TargetRoutes(deployments=store.deployments, files=TargetFiles(targets_folder(settings)))

    def quants(runtime: RuntimeRef) -> frozenset[Quant]:
        plug = find_plug(runtime.name)
        plug.recipe(runtime.version, accelerator)
        return plug.quants.get(accelerator, frozenset())

    def check_args(runtime: RuntimeRef, args: Mapping[str, object]) -> None:
        find_plug(runtime.name).check(args)

    return GatewayParts(
        deployments=store.deployments,
        observations=store.observations,
        events=store.events,
        quants=quants,
        most_replicas=max(_FEW_REPLICAS, _REPLICAS_PER_CPU * (os.cpu_count() or 1)),
        read_log=files.last_words,
        new_id=new_id,
        keys=store.keys,
        random=os.urandom,
        now=_now,
        is_loopback=is_loopback,
        check_args=check_args,
        more=(*_benchmark_operations(store, accelerator), *targets.operations()),
    )


def make_executor(settings: Settings, store: Store, control: Control, *, lifeline_fd: int | None) -> Executor:
    """What runs queued benchmarks beside that control."""
    lifeline = () if lifeline_fd is None else ("--lifeline-fd", str(lifeline_fd))
    return Executor(
        benchmarks=store.benchmarks,
        deployments=store.deployments,
        events=store.events,
        lease=lambda: control.lease,
        folder=platform_folder(settings) / "runs",
        command=BenchCommand(
            head=(sys.executable, "-P", "-m", "tokenforge.cli", "run-queued"),
            tail=lifeline,
            pass_fds=() if lifeline_fd is None else (lifeline_fd,),
            env=settings.child_env,
        ),
        gateway_url=lambda: server_of(settings),
        formats=readable_formats(),
        new_id=new_id,
        load_keys=LoadKeys(keys=store.keys, random=os.urandom, now=_now),
    )


def _benchmark_operations(store: Store, accelerator: Accelerator) -> tuple[Operation, ...]:
    def check(benchmark: Benchmark) -> None:
        faults: list[Fault] = []
        for number, runtime in enumerate(benchmark.runtimes):
            try:
                plug = find_plug(runtime.name)
                plug.recipe(runtime.version, accelerator)
                require_quant(plug, benchmark.quant, accelerator)
            except InvalidInput as error:
                place = f"runtimes[{number}]"
                faults += [replace(f, field=place) if f.field == "runtime" else f for f in error.faults]
        if faults:
            raise InvalidInput(faults, source="request body")

    routes = BenchmarkRoutes(
        benchmarks=store.benchmarks, events=store.events, new_id=new_id, formats=readable_formats(), check=check
    )
    return routes.operations()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
