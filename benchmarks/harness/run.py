"""Load generators side by side on one table, against a server of known truth.

    python benchmarks/harness/run.py             all clients, about 25 minutes
    python benchmarks/harness/run.py --quick     about 5 minutes
    python benchmarks/harness/run.py --ours      the checks of TokenForge's own driver

Peers are installed from their packages into environments under TOKENFORGE_BENCH_HOME (~/.cache/tokenforge-benchmarks).
A run that was stopped goes on with the same --out. See docs/how-to/measure-the-load-generator.md.
"""

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console

from harness.checks import run_checks
from harness.clients import ALL
from harness.clients.base import Client
from harness.home import Home
from harness.machine import describe_machine, machine
from harness.session import Scope, Session
from harness.store import Store
from harness.table import NOTES, Entry, Table, rate_table, summary_table
from harness.truth import NoCompiler, compiled

_QUICK = Scope(rates=(10.0,), seconds=5, repeats=1, stream_repeats=1, steps=3)
_FULL = Scope(rates=(10.0, 50.0), seconds=8, repeats=3, stream_repeats=2, steps=6)


def main() -> int:
    """Measure what was asked for; returns the exit code."""
    asked = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: nothing that was started stays
    try:
        compiled()
    except NoCompiler as error:
        print(error, file=sys.stderr)
        return 2
    folder = asked.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-load-generators"
    folder.mkdir(parents=True, exist_ok=True)
    home = Home(root=Path(os.environ.get("TOKENFORGE_BENCH_HOME") or "~/.cache/tokenforge-benchmarks").expanduser())
    if asked.ours or asked.soak_minutes:
        return run_checks(
            folder.resolve(), quick=asked.quick, only=asked.only, soak_minutes=asked.soak_minutes, kill_at=asked.kill_at
        )
    return compare(home, folder.resolve(), clients=_chosen(asked.clients), scope=_scope(asked))


def compare(home: Home, folder: Path, *, clients: list[Client], scope: Scope) -> int:
    """The comparison; tables are printed, and written as results.md and results.json."""
    before = machine()
    store = Store.open(folder / "trials.jsonl")
    session = Session(home=home, clients=clients, scope=scope, store=store, folder=folder / "trials", say=_say)
    try:
        session.install()
        session.at_rates()
        session.streams()
        session.ladders()
    except KeyboardInterrupt:
        print("stopped; the same command with --out goes on from here", file=sys.stderr)
    finally:
        tables = _tables(session)
        _write(folder, session, tables, before=before)
    console = Console(width=None if sys.stdout.isatty() else 220)
    for table in tables:
        table.show(console)
    console.print(*NOTES, sep="\n", markup=False)
    print(f"Written: {folder / 'results.md'}, {folder / 'results.json'}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _tables(session: Session) -> list[Table]:
    entries = [_entry(session, client) for client in session.clients]
    rated = [trial for trial in session.done if trial.load.seed <= session.scope.repeats]
    rates = [rate_table(entries, rated, rate=rate) for rate in session.scope.rates]
    return [*rates, summary_table(entries, session.done)]


def _entry(session: Session, client: Client) -> Entry:
    return Entry(
        name=client.name,
        version=session.versions.get(client.name, "-"),
        bound_ms=client.bound_ms,
        zero=client.zero,
        held=session.held.get(client.name),
        out=session.out.get(client.name),
    )


def _write(folder: Path, session: Session, tables: list[Table], *, before: dict[str, object]) -> None:
    after = machine()
    text = describe_machine(before, after) + "\n\n"
    text += "\n".join(table.markdown() for table in tables) + "\n" + "\n".join(f"- {note}" for note in NOTES) + "\n"
    (folder / "results.md").write_text(text)
    facts = {
        "machine": before,
        "machine_after": after,
        "scope": asdict(session.scope),
        "versions": session.versions,
        "left_out": session.out,
        "held": session.held,
        "trials": [asdict(trial) for trial in session.done],
    }
    (folder / "results.json").write_text(json.dumps(facts, indent=1, default=str) + "\n")


def _chosen(names: str | None) -> list[Client]:
    known = {client.name: client for client in ALL}
    if names is None:
        return list(ALL)
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise SystemExit(f"--clients: '{unknown[0]}' is not known; choose from: {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def _scope(asked: argparse.Namespace) -> Scope:
    scope = _QUICK if asked.quick else _FULL
    return Scope(
        rates=scope.rates if asked.rates is None else tuple(map(float, asked.rates.split(","))),
        seconds=asked.seconds or scope.seconds,
        repeats=asked.repeats or scope.repeats,
        stream_repeats=asked.repeats or scope.stream_repeats,
        steps=scope.steps if asked.steps is None else asked.steps,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", help=f"some of: {', '.join(client.name for client in ALL)} (comma between)")
    parser.add_argument("--rates", help="requests/s at which all are compared (comma between)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter trials")
    parser.add_argument("--seconds", type=float, help="seconds of load per trial at a rate")
    parser.add_argument("--repeats", type=int, help="repeats of each trial")
    parser.add_argument("--steps", type=int, help="trials per client to find its highest rate; 0: none")
    parser.add_argument("--out", type=Path, help="folder for results; one that has some is gone on with")
    parser.add_argument("--ours", action="store_true", help="the checks of TokenForge's own driver alone")
    parser.add_argument("--only", help="with --ours: some of the checks by name (comma between)")
    parser.add_argument("--soak-minutes", type=float, default=0.0, help="TokenForge at 500 req/s for so long")
    parser.add_argument("--kill-at", action="store_true", help="with --soak-minutes: kill the driver at half time")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
