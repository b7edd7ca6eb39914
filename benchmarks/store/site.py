"""Where kills happen: a database and a prefix of their own on one PostgreSQL and one S3; a load that copies files."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LARGE_BYTES = 9 << 20
"""More than a part of an upload in parts."""

_SMALL_BYTES = 20_000
_LOAD = """\
step() {{ if [ "$(cat "$1/fault" 2>/dev/null)" = "$2" ]; then rm "$1/fault"; kill -9 $$; fi; }}
run=$(dirname "$5") id=$(basename "$(dirname "$5")")
step "$run" "load 1"
mkdir -p "$5"
size=$(cat "{prepared}/size-$id" 2>/dev/null || echo {small})
{{ printf "$id"; head -c "$size" "{prepared}/report.html"; }} > "$5/report.html"
step "$run" "load 2"
printf "PAR1 $id" > "$5/requests.parquet"
step "$run" "load 3"
sed "s/ID/$id/g" "{prepared}/record.json" > "$5/.record"
step "$run" "load 4"
mv "$5/.record" "$5/record.json"
step "$run" "load 5"
"""
LOAD_STEPS = tuple(f"load {number}" for number in range(1, 6))
FILES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The database, the bucket and its key, the folder of work, the load's script and what it copies."""

    database_url: str = field(repr=False)
    artifacts_url: str
    env: Mapping[str, str] = field(repr=False)
    work: Path
    load: Path
    prepared: Path

    def make_large(self, identity: str) -> None:
        """The report of this benchmark will be sent in parts."""
        (self.prepared / f"size-{identity}").write_text(str(LARGE_BYTES))

    def kill_load(self, identity: str, step: str) -> None:
        """The load of this benchmark will kill itself there, once."""
        run = self.work / "runs" / identity
        run.mkdir(parents=True)
        (run / "fault").write_text(step)


def make_site(folder: Path, *, database_url: str, artifacts_url: str, env: Mapping[str, str]) -> Site:
    """Write the load's files and script into `folder`."""
    prepared = folder / "prepared"
    prepared.mkdir(parents=True)
    run: dict[str, object] = {
        "id": "ID-00-w", "model": "synthetic:tiny", "runtime": "sim", "workload": "w", "status": "succeeded",
        "cause": None, "trials": [],
    }  # fmt: skip
    record = {"id": "of-ID", "created_at": "2026-01-01T00:00:00Z", "runs": [run], "summary": {"headline": ["h"]}}
    (prepared / "record.json").write_text(json.dumps(record))
    (prepared / "report.html").write_bytes(os.urandom(LARGE_BYTES))
    load = folder / "load.sh"
    load.write_text(_LOAD.format(prepared=prepared, small=_SMALL_BYTES))
    return Site(
        database_url=database_url, artifacts_url=artifacts_url, env=env, work=folder / "work", load=load,
        prepared=prepared,
    )  # fmt: skip
