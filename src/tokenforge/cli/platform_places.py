"""Where the platform of this machine keeps what it knows, and how its things are named. Light: `up` imports no more."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from tokenforge.cli.server import platform_folder
from tokenforge.domain.ids import uuid7
from tokenforge.domain.moments import moment_text
from tokenforge.settings import Settings
from tokenforge.store.archive import Archive
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.sql.database_url import check_database_url
from tokenforge.store.sql.store import Store, open_store

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


def platform_archive(settings: Settings, store: Store) -> Archive:
    """Where results are kept for good. Raises InvalidInput for a setting that cannot be used."""
    default = platform_folder(settings) / "artifacts"
    blobs = open_blobs(settings.artifacts_url, env=settings.s3_env, default=default)
    return Archive(blobs=blobs, rows=store.blobs, kept=store.kept)


def most_replicas(settings: Settings) -> int:
    """How many replicas all deployments of this machine may have together: each is a process that loads its model."""
    return settings.most_replicas or max(_FEW_REPLICAS, _REPLICAS_PER_CPU * (os.cpu_count() or 1))


def new_id() -> str:
    """A new UUIDv7."""
    return uuid7(unix_ms=time.time_ns() // 1_000_000, random=os.urandom(10))


def now_text() -> str:
    """Now as RFC 3339 UTC."""
    return moment_text(datetime.now(UTC))
