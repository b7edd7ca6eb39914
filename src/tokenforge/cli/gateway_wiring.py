"""The gateway's parts, put together. Apart from control's: a process that is started again imports only its own."""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace

from tokenforge import __version__
from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.bench.environment import detect_accelerator
from tokenforge.cli.cluster_site import cluster_offer, site_of
from tokenforge.cli.platform_places import fleet_folder, most_replicas, new_id, now_text, platform_archive
from tokenforge.cli.server import targets_folder
from tokenforge.cluster.fleet_files import FleetFiles
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.runtime import Accelerator, Quant, RuntimeRef
from tokenforge.gateway.admin.benchmarks import BenchmarkRoutes
from tokenforge.gateway.admin.metric_targets import TargetRoutes
from tokenforge.gateway.admin.operation import Operation
from tokenforge.gateway.admin.run_files import RunFiles
from tokenforge.gateway.server import GatewayParts
from tokenforge.runtimes.registry import find_plug, require_quant
from tokenforge.settings import Settings
from tokenforge.store.archive import Archive
from tokenforge.store.sql.store import Store
from tokenforge.telemetry.targets import TargetFiles
from tokenforge.telemetry.tracing.tracer import make_tracer


def make_gateway(settings: Settings, store: Store, *, is_loopback: bool) -> GatewayParts:
    """A gateway over the same store. `is_loopback`: it listens where only this machine reaches it."""
    accelerator = detect_accelerator()
    files, archive = FleetFiles(fleet_folder(settings)), platform_archive(settings, store)
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
        most_replicas=most_replicas(settings),
        read_log=files.last_words,
        new_id=new_id,
        keys=store.keys,
        random=os.urandom,
        now=now_text,
        is_loopback=is_loopback,
        demands=store.demands,
        hold_s=settings.hold_s,
        more=(*_benchmark_operations(store, archive, accelerator), *targets.operations()),
        check_args=check_args,
        logs_all=settings.observing.log_requests,
        tracer=make_tracer(
            settings.observing, service="tokenforge-gateway", version=__version__, instance=socket.gethostname()
        ),
        cluster=None if settings.kubernetes is None else cluster_offer(site_of(settings.kubernetes)),
    )


def _benchmark_operations(store: Store, archive: Archive, accelerator: Accelerator) -> tuple[Operation, ...]:
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
        benchmarks=store.benchmarks, events=store.events, new_id=new_id, formats=readable_formats(), check=check,
        files=RunFiles(kept=archive.kept, blobs=archive.blobs),
    )  # fmt: skip
    return routes.operations()
