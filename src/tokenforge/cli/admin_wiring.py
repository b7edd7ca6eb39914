"""The gateway's admin side put together, when it is first asked for: it imports what the data plane never needs."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from starlette.types import ASGIApp

from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.bench.environment import detect_accelerator
from tokenforge.cli.cluster_site import cluster_offer, require_cluster, site_of
from tokenforge.cli.platform_places import fleet_folder, most_replicas, new_id, now_text, platform_archive
from tokenforge.cli.server import targets_folder
from tokenforge.cluster.fleet_files import FleetFiles
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Accelerator, Quant, RuntimeRef
from tokenforge.gateway.admin.behind import AdminParts, open_admin
from tokenforge.gateway.admin.benchmarks import BenchmarkRoutes
from tokenforge.gateway.admin.metric_targets import TargetRoutes
from tokenforge.gateway.admin.operation import Operation
from tokenforge.gateway.admin.run_files import RunFiles
from tokenforge.gateway.plane import DataPlane
from tokenforge.runtimes.registry import find_plug, require_quant
from tokenforge.settings import Settings
from tokenforge.store.archive import Archive
from tokenforge.store.sql.store import Store
from tokenforge.telemetry.targets import TargetFiles


def make_admin(settings: Settings, store: Store, plane: DataPlane, refresh: Callable[[], Awaitable[None]]) -> ASGIApp:
    """The application over the same store."""
    accelerator = detect_accelerator()
    files, archive = FleetFiles(fleet_folder(settings)), platform_archive(settings, store)
    targets = TargetRoutes(deployments=store.deployments, files=TargetFiles(targets_folder(settings)))

    def quants(runtime: RuntimeRef) -> frozenset[Quant]:
        plug = find_plug(runtime.name)
        plug.recipe(runtime.version, accelerator)
        return plug.quants.get(accelerator, frozenset())

    def check_args(runtime: RuntimeRef, args: Mapping[str, object]) -> None:
        find_plug(runtime.name).check(args)

    parts = AdminParts(
        deployments=store.deployments,
        events=store.events,
        quants=quants,
        most_replicas=most_replicas(settings),
        read_log=files.last_words,
        new_id=new_id,
        keys=store.keys,
        random=os.urandom,
        now=now_text,
        more=(*_benchmark_operations(settings, store, archive, accelerator), *targets.operations()),
        check_args=check_args,
        cluster=None if settings.kubernetes is None else cluster_offer(site_of(settings.kubernetes)),
    )
    return open_admin(parts, plane, refresh)


def _benchmark_operations(
    settings: Settings, store: Store, archive: Archive, here: Accelerator
) -> tuple[Operation, ...]:
    def check(benchmark: Benchmark) -> None:
        faults: list[Fault] = []
        try:
            require_cluster(settings, benchmark)
        except InvalidInput as error:
            faults += error.faults
        there = Accelerator.CUDA if benchmark.resources.gpu else Accelerator.CPU
        accelerator = there if benchmark.target is Placement.KUBERNETES else here
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
