"""The checks of TokenForge's own driver alone, each a number against what it must be.

A check is a function that measures and returns a `Finding`; which are run, and how long, is decided here.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from harness.checks_driver import arrivals_check, lateness_check, open_streams_check, slot_check
from harness.checks_modes import modes_check
from harness.checks_rate import accuracy_check, highest_rate
from harness.finding import Finding
from harness.machine import machine
from harness.soak import soak_check

_SOAK_RATE = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check by name."""

    name: str
    measure: Callable[[Path], Finding]


def run_checks(folder: Path, *, quick: bool, only: str | None, soak_minutes: float, kill_at: bool) -> int:
    """Run them one after the other, print each, write checks.json. Returns 1 when one does not hold."""
    checks = [_soak(soak_minutes, kill_at)] if soak_minutes else _checks(quick=quick)
    if only is not None:
        wanted = only.split(",")
        unknown = set(wanted) - {check.name for check in checks}
        if unknown:
            raise SystemExit(
                f"--only: '{unknown.pop()}' is not known; choose from: {', '.join(c.name for c in checks)}"
            )
        checks = [check for check in checks if check.name in wanted]
    facts: dict[str, object] = {"machine": machine()}
    findings: dict[str, Finding] = {}
    for number, check in enumerate(checks, start=1):
        print(f"[{number}/{len(checks)}] {check.name} ...", flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            found = findings[check.name] = check.measure(Path(scratch))
        print(f"      {'holds' if found.holds else 'DOES NOT HOLD'}: {found.text}", flush=True)
        facts["checks"] = {name: asdict(finding) for name, finding in findings.items()}
        (folder / "checks.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"Written: {folder / 'checks.json'}")
    return 0 if all(finding.holds for finding in findings.values()) else 1


def _checks(*, quick: bool) -> list[Check]:
    seeds = 10 if quick else 50
    seconds = 5.0 if quick else 10.0
    return [
        Check(name="slot", measure=slot_check),
        Check(name="modes", measure=modes_check),
        Check(name="highest-rate", measure=partial(highest_rate, seconds=seconds, steps=5 if quick else 9)),
        Check(name="accuracy", measure=partial(accuracy_check, seconds=seconds)),
        Check(name="open-streams", measure=partial(open_streams_check, seconds=seconds)),
        Check(name="lateness", measure=partial(lateness_check, seconds=seconds)),
        Check(name="arrivals", measure=partial(arrivals_check, seeds=seeds)),
    ]


def _soak(minutes: float, kill_at: bool) -> Check:
    return Check(name="soak", measure=partial(soak_check, minutes=minutes, rate=_SOAK_RATE, is_killed=kill_at))
