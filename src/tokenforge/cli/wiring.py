"""The parts, put together: settings in, a Kit for benchmarks out."""

from pathlib import Path

from tokenforge.bench.environment import detect_accelerator
from tokenforge.bench.observe import Observer
from tokenforge.bench.targets import Kit
from tokenforge.cluster.local import LocalCluster, reap_orphans
from tokenforge.settings import Settings


def make_kit(settings: Settings, observer: Observer) -> Kit:
    """A kit for this machine: workers as child processes, leftovers of a killed predecessor ended first."""
    state = settings.home / "workers"
    reap_orphans(state)
    return Kit(
        home=settings.home,
        find_links=settings.find_links,
        extra_indexes=settings.extra_indexes,
        base_env=settings.child_env,
        hub_offline=settings.hub_offline,
        accelerator=detect_accelerator(),
        cluster=LocalCluster(state),
        observer=observer,
    )


def run_database(settings: Settings) -> Path:
    """Where past runs are listed."""
    return settings.home / "tokenforge.db"
