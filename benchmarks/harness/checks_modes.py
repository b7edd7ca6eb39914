"""Every mode of the truth server: the driver's numbers are right, or the request is an error with its name.

A mode is a server that does something real servers do; its expectation says what the records must then hold.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from harness.finding import Finding
from harness.plans import plan, send
from harness.truth import TrueAnswer, truth_server
from tokenforge.bench.driver.job import Endpoint
from tokenforge.domain.record import Outcome, RequestRecord

_REQUESTS, _RATE, _TOKENS = 200, 100.0, 16
_PACE = ("--ttft-us", "20000", "--itl-us", "5000")
_CUTS_MS = 2.1
"""Cut in three, 1 ms apart, an event may be whole with its first piece: the rest is the end of the HTTP chunk."""

Seen = Sequence[tuple[RequestRecord, TrueAnswer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A way to answer, and what must be seen of it: the outcomes, tokens per answer (None: any), and more."""

    name: str
    options: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = (Outcome.OK,)
    counted: int | None = _TOKENS
    usage: int | None = _TOKENS
    endpoint: Endpoint = Endpoint.COMPLETIONS
    continuous_usage: bool = False
    bound_ms: float = 1.0
    more: Callable[[Seen], str | None] = lambda seen: None


def modes_check(folder: Path) -> Finding:
    """One trial per mode; the names of those that are not told right."""
    wrong: dict[str, str] = {}
    for mode in MODES:
        place = folder / mode.name.replace(" ", "-")
        place.mkdir()
        fault = _try(mode, place)
        print(f"      {mode.name}: {fault or 'right'}", flush=True)
        if fault is not None:
            wrong[mode.name] = fault
    text = f"{len(MODES) - len(wrong)} of {len(MODES)} ways to answer are told right"
    return Finding(holds=not wrong, text=text, figures={"modes": [mode.name for mode in MODES], "wrong": wrong})


def _try(mode: Mode, folder: Path) -> str | None:
    """What is wrong, None when all is right."""
    trial = plan(requests=_REQUESTS, tokens=_TOKENS, seed=5, rate=_RATE)
    with truth_server(folder, *_PACE, *mode.options) as server:
        job = send(trial, url=server.url, folder=folder, endpoint=mode.endpoint, continuous_usage=mode.continuous_usage)
        result = asyncio.run(job)
        answers = {answer.prompt: answer for answer in server.stop()}
    records = result.records
    if len(records) != _REQUESTS:
        return f"{len(records)} records of {_REQUESTS} requests"
    found = {record.outcome for record in records}
    if found != set(mode.outcomes):
        return f"outcomes {sorted(found)}, not {sorted(mode.outcomes)}"
    unnamed = [record for record in records if record.outcome is not Outcome.OK and not record.error]
    if unnamed:
        return f"{len(unnamed)} failures without a name"
    good = [(record, answers[record.index]) for record in records if record.outcome is Outcome.OK]
    return _tokens(mode, [record for record, _ in good]) or _stamps(good, bound_ms=mode.bound_ms) or mode.more(good)


def _tokens(mode: Mode, records: Sequence[RequestRecord]) -> str | None:
    counted = {record.counted_tokens for record in records}
    usage = {record.output_tokens for record in records}
    if records and mode.counted is not None and counted != {mode.counted}:
        return f"counted tokens {sorted(counted)}, not {mode.counted}"
    if records and mode.usage is not None and usage != {mode.usage}:
        return f"usage {usage}, not {mode.usage}"
    return None


def _stamps(seen: Seen, *, bound_ms: float) -> str | None:
    """Gaps of chunks against the server's."""
    errors = [
        abs((later - earlier) - (after - before)) / 1e6
        for record, answer in seen
        for (earlier, later), (before, after) in zip(pairwise(record.chunk_ns), pairwise(answer.sent_ns), strict=True)
    ]
    if errors and float(np.quantile(errors, 0.99)) > bound_ms:
        return f"p99 error of chunk gaps {np.quantile(errors, 0.99):.3f} ms"
    return None


def _gaps_ms(seen: Seen) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Gaps spread over the tokens of the later chunk."""
    return np.array(
        [
            (later - earlier) / 1e6 / tokens
            for record, _ in seen
            for (earlier, later), tokens in zip(pairwise(record.chunk_ns), record.chunk_tokens[1:], strict=True)
        ]
    )


def _shows_the_stall(seen: Seen) -> str | None:
    """One gap in 15 is longer by the stall, so p99 is the stall."""
    p99, p50 = np.quantile(_gaps_ms(seen), [0.99, 0.5])
    return None if abs(p99 - 305) < 10 and abs(p50 - 5) < 1 else f"ITL p50 {p50:.2f}, p99 {p99:.2f} ms, not 5 and 305"


def _spreads_chunks(seen: Seen) -> str | None:
    p50 = float(np.median(_gaps_ms(seen)))
    return None if abs(p50 - 5) < 0.2 else f"ITL p50 {p50:.2f} ms, not 5"


def _first_is_a_token(seen: Seen) -> str | None:
    early = [r.first_ns - a.sent_ns[0] for r, a in seen if r.first_ns is not None and r.chunk_ns[0] != r.first_ns]
    return f"{len(early)} first tokens are none" if early else None


def _ends_late(seen: Seen) -> str | None:
    """The end is the end of the response, not the last token."""
    ends = [(r.end_ns - r.chunk_ns[-1]) / 1e6 for r, _ in seen if r.end_ns is not None]
    return None if min(ends) > 45 else f"an answer ended {min(ends):.1f} ms after its last token, not 50"


def _new_connections(seen: Seen) -> str | None:
    used = {record.connection for record, _ in seen}
    return None if len(used) == len(seen) else f"{len(used)} connections for {len(seen)} requests"


MODES = (
    Mode(name="plain"),
    Mode(name="chat", endpoint=Endpoint.CHAT),
    Mode(name="role-only first chunk", options=("--role-first",), endpoint=Endpoint.CHAT, more=_first_is_a_token),
    Mode(name="empty first chunk", options=("--role-first",), more=_first_is_a_token),
    Mode(name="reasoning chunk", options=("--reasoning",), endpoint=Endpoint.CHAT),
    Mode(
        name="four tokens a chunk",
        options=("--per-chunk", "4", "--continuous-usage"),
        continuous_usage=True,
        more=_spreads_chunks,
    ),
    Mode(name="usage in every chunk", options=("--continuous-usage",), continuous_usage=True),
    Mode(name="bytes cut in odd places", options=("--odd-cuts",), bound_ms=_CUTS_MS),
    Mode(name="stall", options=("--stall-at", "8", "--stall-us", "300000"), more=_shows_the_stall),
    Mode(name="slow close", options=("--slow-close-us", "50000"), more=_ends_late),
    Mode(name="keep-alive off", options=("--no-keep-alive",), more=_new_connections),
    Mode(name="connections closed without a word", options=("--silent-close",)),
    Mode(name="idle connections dropped", options=("--drop-reused",)),
    Mode(name="wrong usage", options=("--wrong-usage", "3"), usage=_TOKENS + 3),
    Mode(name="a share of errors", options=("--error-percent", "20"), outcomes=(Outcome.OK, Outcome.HTTP_ERROR)),
    Mode(name="streams cut short", options=("--cut-after", "4"), outcomes=(Outcome.TRUNCATED,)),
)
