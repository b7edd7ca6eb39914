"""The gateway beside its peers, one table; then what it does under fire.

    python benchmarks/gateway/run.py              all of it, about 15 minutes
    python benchmarks/gateway/run.py --quick      shorter loads, about 5 minutes
    python benchmarks/gateway/run.py --only nginx,TokenForge --repeats 3 --seconds 4
    python benchmarks/gateway/run.py --fire       the second part alone: corpus, 10,000 streams, random bytes

Peers are installed from their packages into environments under TOKENFORGE_BENCH_HOME (~/.cache/tokenforge-benchmarks).
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from math import isnan
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop

from gateway.fire import under_fire
from gateway.measure import Gateway, load, started, upstream
from gateway.peers import DIRECT, PEERS, Peer
from harness.home import CannotInstall, Home
from harness.machine import describe_machine, machine
from harness.truth import NoCompiler, compiled

SLOTS, SERVICE_US = 16, 20_000
_HERE = Path(__file__).parent


@dataclass(slots=True, kw_only=True)
class Row:
    """What was measured of one gateway; NaN is not measured. Latencies in ms, CPU in microseconds."""

    name: str
    version: str = ""
    not_run: str = ""
    start_s: float = float("nan")
    requests_per_s: float = float("nan")
    cpu_us_per_request: float = float("nan")
    at_100: tuple[float, float] = (float("nan"),) * 2
    at_half: tuple[float, float] = (float("nan"),) * 2
    few_streams: tuple[float, float, float] = (float("nan"),) * 3
    many_streams: tuple[float, float, float] = (float("nan"),) * 3
    rss_mb: float = float("nan")
    peak_per_s: float = float("nan")
    goodput_per_s: float = float("nan")
    refused_p99_ms: float = float("nan")


def measure(peer: Peer, home: Home, *, seconds: float) -> Row:
    """All of one gateway."""
    row = Row(name=peer.name)
    try:
        row.version = peer.version(home)
        with upstream(), started(peer, home) as gateway:
            row.start_s = gateway.start_s
            _requests(row, gateway, seconds)
            row.few_streams = _streams(gateway, 64, gap_ms=20, seconds=seconds)
            row.many_streams = _streams(gateway, 1000, gap_ms=50, seconds=seconds)
            row.rss_mb = gateway.rss_mb()
        if peer.name != DIRECT:
            os.environ["GATEWAY_PLACES"] = str(SLOTS // 2)  # a replica may have twice its sequences at once
            with upstream(slots=SLOTS), started(peer, home) as gateway:
                _overload(row, gateway, seconds)
    except (CannotInstall, OSError, ValueError) as error:
        row.not_run = f"{type(error).__name__}: {error}"
    finally:
        os.environ.pop("GATEWAY_PLACES", None)
    return row


def _requests(row: Row, gateway: Gateway, seconds: float) -> None:
    before_s = gateway.cpu_s()
    seen = load(gateway, "closed", {"max_tokens": 16}, connections=64, seconds=seconds, warm=0.001)
    row.requests_per_s = seen["finished"] / seconds
    row.cpu_us_per_request = (gateway.cpu_s() - before_s) / max(1, seen["finished"]) * 1e6
    for place, rate in (("at_100", 100.0), ("at_half", row.requests_per_s / 2)):
        seen = load(gateway, "open", {"max_tokens": 16}, connections=256, rate=rate, seconds=seconds)
        setattr(row, place, (seen["latency"]["p50_ms"], seen["latency"]["p99_ms"]))


def _streams(gateway: Gateway, number: int, *, gap_ms: int, seconds: float) -> tuple[float, float, float]:
    """Transit p50 and p99, CPU for a chunk."""
    body = {"stream": True, "max_tokens": int(1000 * seconds / gap_ms / 2), "seed": gap_ms * 1000}
    before_s = gateway.cpu_s()
    seen = load(gateway, "streams", body, connections=number, seconds=seconds, warm=1.0)
    cpu_us = (gateway.cpu_s() - before_s) / max(1, seen["events"]) * 1e6
    if not seen["transit"]["count"]:
        raise ValueError(f"no event of {number} streams came through")
    return seen["transit"]["p50_ms"], seen["transit"]["p99_ms"], cpu_us


def _overload(row: Row, gateway: Gateway, seconds: float) -> None:
    body = {"max_tokens": 16, "seed": SERVICE_US}
    seen = load(gateway, "closed", body, connections=SLOTS, seconds=seconds)
    row.peak_per_s = seen.get("status_200", 0) / seconds
    rate = 5 * row.peak_per_s
    seen = load(gateway, "open", body, connections=4000, rate=rate, seconds=seconds)
    row.goodput_per_s = seen.get("status_200", 0) / seconds
    row.refused_p99_ms = seen["refusal"]["p99_ms"]


Values = tuple[float, ...]
_COLUMNS: tuple[tuple[str, str, Callable[[Row, Row], Values]], ...] = (
    ("start s", ".2f", lambda r, d: (r.start_s,)),
    ("req/s, 64 clients", ",.0f", lambda r, d: (r.requests_per_s,)),
    ("CPU us/request", ".1f", lambda r, d: (r.cpu_us_per_request,)),
    ("added p50/p99 at 100/s, ms", ".2f", lambda r, d: _added(r.at_100, d.at_100)),
    ("added at half its ceiling", ".2f", lambda r, d: _added(r.at_half, d.at_100)),
    ("64 x 20 ms: transit p50/p99", ".2f", lambda r, d: r.few_streams[:2]),
    ("us/chunk", ".1f", lambda r, d: r.few_streams[2:]),
    ("1,000 x 50 ms: transit p50/p99", ".2f", lambda r, d: r.many_streams[:2]),
    ("us/chunk ", ".1f", lambda r, d: r.many_streams[2:]),
    ("RSS MB", ".0f", lambda r, d: (r.rss_mb,)),
    ("peak, goodput at 5x, /s", ",.0f", lambda r, d: (r.peak_per_s, r.goodput_per_s)),
    ("429 p99 ms", ".0f", lambda r, d: (r.refused_p99_ms,)),
)


def _added(seen: tuple[float, float], direct: tuple[float, float]) -> Values:
    return (seen[0] - direct[0], seen[1] - direct[1])


def table(rows: list[Row]) -> str:
    """The table, as Markdown: of rows of one name the medians, and in parentheses the least and the most."""
    directs = [row for row in rows if row.name == DIRECT]
    lines = ["| gateway | " + " | ".join(name for name, _, _ in _COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for name in dict.fromkeys(row.name for row in rows):
        same = [row for row in rows if row.name == name]
        pairs = list(zip_longest(same, directs[: len(same)], fillvalue=Row(name=DIRECT)))
        cells = [_cell([values(row, direct) for row, direct in pairs], form) for _, form, values in _COLUMNS]
        lines.append(f"| {name} {same[0].version} | " + " | ".join(cells) + " |")
    lines += [f"\n{row.name}: not run, or not to the end: {row.not_run}" for row in rows if row.not_run]
    return "\n".join(lines)


def _cell(repeats: list[Values], form: str) -> str:
    """The numbers of one cell; what was not measured is a dash."""
    numbers = []
    for seen in zip(*repeats, strict=True):
        known = [value for value in seen if not isnan(value)]
        if not known:
            numbers.append("-")
        elif len(known) == 1:
            numbers.append(format(known[0], form))
        else:
            numbers.append(f"{median(known):{form}} ({min(known):{form}}-{max(known):{form}})")
    return " / ".join(numbers)


def main() -> int:
    """Measure what was asked for; returns the exit code."""
    asked = _parser().parse_args()
    try:
        compiled(_HERE / "load.c")
    except NoCompiler as error:
        print(error, file=sys.stderr)
        return 2
    folder = asked.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-gateways"
    folder.mkdir(parents=True, exist_ok=True)
    if not asked.fire:
        home = Home(root=Path(os.environ.get("TOKENFORGE_BENCH_HOME") or "~/.cache/tokenforge-benchmarks").expanduser())
        wanted = set(asked.only.split(",")) if asked.only else {peer.name for peer in PEERS}
        rows: list[Row] = []
        before = machine()
        for peer in [peer for peer in PEERS if peer.name in wanted] * asked.repeats:
            rows.append(measure(peer, home, seconds=asked.seconds or (3.0 if asked.quick else 8.0)))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            text = f"{table(rows)}\n\n{describe_machine(before, machine())}\n"
            (folder / "results.md").write_text(text)
            (folder / "results.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
        print(text)
    if asked.only:
        return 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(under_fire(streams=1_000 if asked.quick else 10_000, minutes=asked.minutes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter loads")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long each load lasts")
    parser.add_argument("--repeats", type=int, default=1, help="how often, in turns; the table has medians and ranges")
    parser.add_argument("--only", default="", help="names of gateways, with commas between")
    parser.add_argument("--fire", action="store_true", help="only what ours does under fire")
    parser.add_argument("--minutes", type=float, default=0.5, help="how long random bytes are sent")
    parser.add_argument("--out", type=Path, default=None, help="folder for the results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
