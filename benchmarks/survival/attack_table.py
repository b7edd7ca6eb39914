"""What an attack came to, as text: a row for each kill, then the sums."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from survival.asking import Asked
from survival.attack import RECOVERY_LIMIT_S, Outcome, tally
from survival.strikes import KINDS, Strike, mended_s


def table_of(outcome: Outcome) -> list[str]:
    """The lines. `since` is the time from the last kill before the platform was whole."""
    head = f"{'#':>3}  {'at s':>6}  {'killed':<8}  {'name':<24}  {'whole after s':>13}  {'since s':>7}"
    lines = [f"{head}  requests until the next kill"]
    struck = outcome.strikes
    for strike, until_s in zip(struck, _ends(struck), strict=True):
        during = [one for one in outcome.asked if strike.at_s <= one.ended_s < until_s]
        whole, since = _seconds(strike.whole_after_s), _seconds(mended_s(strike, struck))
        at = f"{strike.at_s - struck[0].at_s:.1f}"
        row = f"{strike.number:>3}  {at:>6}  {strike.kind:<8}  {strike.name:<24}  {whole:>13}  {since:>7}"
        lines.append(f"{row}  {_counts(during)}")
    return [*lines, "", *_sums(outcome)]


def _sums(outcome: Outcome) -> list[str]:
    lines = []
    for kind in KINDS:
        found = [strike for strike in outcome.strikes if strike.kind == kind]
        whole = [strike.whole_after_s for strike in found if strike.whole_after_s is not None]
        since = [took_s for one in found if (took_s := mended_s(one, outcome.strikes)) is not None]
        if whole:
            times = f"median {statistics.median(whole):.1f}, at most {max(whole):.1f} s"
            lines.append(f"{kind}: {len(found)} kills, whole after {times} (since the last kill {max(since):.1f} s)")
    soon = sum((one.whole_after_s or math.inf) <= RECOVERY_LIMIT_S for one in outcome.strikes)
    lines.append(f"within {RECOVERY_LIMIT_S:g} s of the kill itself, others or not: {soon} of {len(outcome.strikes)}")
    lines.append(f"requests: {_counts(outcome.asked)}")
    statuses = Counter(str(run["status"]) for runs in outcome.runs.values() for run in runs)
    lines.append(f"runs: {sum(statuses.values())} ({', '.join(f'{n} {name}' for name, n in sorted(statuses.items()))})")
    lines += _growth(outcome)
    lines += [f"FAULT: {fault}" for fault in outcome.faults]
    lines.append("FAILED" if outcome.faults else "PASSED")
    return lines


def _growth(outcome: Outcome) -> list[str]:
    """What the one process that was never killed held before and after."""
    before, after = ([one for one in seen if one.kind == "up"] for seen in (outcome.before, outcome.after))
    if not before or not after:
        return []
    mib = [one.rss_bytes / 2**20 for one in (before[0], after[0])]
    fds = [one.descriptors for one in (before[0], after[0])]
    return [f"up: {mib[0]:.1f} -> {mib[1]:.1f} MiB, {fds[0]} -> {fds[1]} descriptors"]


def _ends(struck: Sequence[Strike]) -> list[float]:
    return [*(strike.at_s for strike in struck[1:]), float("inf")][: len(struck)]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


def _counts(asked: Sequence[Asked]) -> str:
    return ", ".join(f"{count} {name}" for name, count in tally(asked).items()) or "none"
