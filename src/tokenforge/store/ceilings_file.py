"""Ceilings that were measured on this machine: one JSON file per machine in the home folder.

A home may be shared by machines, so the file's name follows from what the machine is; a file that can't be read counts
as not measured, since measuring again takes seconds.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenforge.domain.canonical import sha256_hex, to_plain
from tokenforge.domain.ceilings import Ceiling, CeilingKind
from tokenforge.domain.runtime import Accelerator
from tokenforge.store.artifacts import store_failed, write_text

SCHEMA = "tokenforge.ceilings/1"


def ceilings_file(home: Path, machine: Mapping[str, object]) -> Path:
    """Where the ceilings of `machine` (processor, threads, GPUs) are kept."""
    return home / f"ceilings-{sha256_hex(machine)[:10]}.json"


def write_ceilings(home: Path, machine: Mapping[str, object], ceilings: Sequence[Ceiling]) -> Path:
    """Keep them, replacing older ones. Raises StoreFailed."""
    path = ceilings_file(home, machine)
    document = {"schema": SCHEMA, "machine": machine, "ceilings": to_plain(ceilings)}
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store_failed(home, error) from error
    write_text(path, json.dumps(document, indent=1) + "\n")
    return path


def read_ceilings(home: Path, machine: Mapping[str, object]) -> tuple[Ceiling, ...]:
    """What was kept for `machine`; empty when nothing was measured, or the file is broken."""
    try:
        document = json.loads(ceilings_file(home, machine).read_text())
        return tuple(_ceiling(item) for item in document["ceilings"]) if document["schema"] == SCHEMA else ()
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _ceiling(item: Mapping[str, object]) -> Ceiling:
    flops = item["flops"]
    if not isinstance(flops, Mapping):
        raise TypeError("flops is not a mapping")
    return Ceiling(
        kind=CeilingKind(str(item["kind"])),
        device=str(item["device"]),
        accelerator=Accelerator(str(item["accelerator"])),
        flops={str(name): float(value) for name, value in flops.items()},
        bytes_per_s=float(str(item["bytes_per_s"])),
        cache_bytes=int(str(item["cache_bytes"])),
        source=str(item["source"]),
        as_of=str(item["as_of"]),
    )
