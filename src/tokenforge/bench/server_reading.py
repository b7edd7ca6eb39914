"""What a server says of itself before and after a trial: is it the same process, and what did its prefix cache do?

Our worker says it at `/worker/info`, others in Prometheus' words at `/metrics`. A server that says nothing is not
judged. Counters that went back mean a restart also where no process is named. Standard library only, each question with
a time limit, and none while load runs.
"""

import json
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tokenforge.domain.benchmark_record import ServerReading

_LIMIT_S = 2.0
_MOST_BYTES = 4 << 20
_PROCESS = "process_start_time_seconds"
_COUNTERS = {
    "prefix_queries": ("vllm:prefix_cache_queries_total", "tokenforge_prefix_cache_queries_tokens_total"),
    "prefix_hits": ("vllm:prefix_cache_hits_total", "tokenforge_prefix_cache_hits_tokens_total"),
    "preemptions": ("vllm:num_preemptions_total", "tokenforge_preemptions_total"),
}
"""Our names of counters, and those under which servers export them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSays:
    """One look. `process` differs between two lives of a server; counters are since its start. None is unknown."""

    process: str | None = None
    prefix_queries: int | None = None
    prefix_hits: int | None = None
    preemptions: int | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing of use."""
        return self == ServerSays()


def ask_server(url: str, headers: Mapping[str, str]) -> ServerSays | None:
    """Ask the server at `url` (its base); None when it does not answer, or says nothing of this."""
    for path, read in (("/worker/info", read_info), ("/metrics", read_metrics)):
        try:
            request = urllib.request.Request(url + path, headers=dict(headers))
            with urllib.request.urlopen(request, timeout=_LIMIT_S) as response:
                says = read(response.read(_MOST_BYTES).decode())
        except (OSError, ValueError):
            continue
        if not says.is_silent:
            return says
    return None


def read_info(text: str) -> ServerSays:
    """What our worker's `/worker/info` says. Raises ValueError when it is no JSON object."""
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("not an object")
    stats = body.get("stats")
    told = stats if isinstance(stats, dict) else {}
    instance = body.get("instance")
    return ServerSays(
        process=instance if isinstance(instance, str) else None,
        prefix_queries=_whole(told.get("prefix_queries")),
        prefix_hits=_whole(told.get("prefix_hits")),
        preemptions=_whole(told.get("preemptions_total")),
    )


def read_metrics(text: str) -> ServerSays:
    """What a page of Prometheus metrics says; the series of several engines are added up."""
    found: dict[str, float] = {}
    for name, value in _samples(text.splitlines()):
        found[name] = found.get(name, 0.0) + value
    counters = {ours: next((found[n] for n in names if n in found), None) for ours, names in _COUNTERS.items()}
    started = found.get(_PROCESS)
    return ServerSays(
        process=None if started is None else f"{started:.3f}",
        prefix_queries=_whole(counters["prefix_queries"]),
        prefix_hits=_whole(counters["prefix_hits"]),
        preemptions=_whole(counters["preemptions"]),
    )


def reading_between(before: ServerSays | None, after: ServerSays | None) -> ServerReading | None:
    """What came to pass between two looks; None where one of them saw nothing. After a restart nothing is counted."""
    if before is None or after is None:
        return None
    grown = {name: _growth(getattr(before, name), getattr(after, name)) for name in _COUNTERS}
    names_process = before.process is not None and after.process is not None
    is_other = names_process and before.process != after.process
    if is_other or any(growth is not None and growth < 0 for growth in grown.values()):
        return ServerReading(restarted=True)
    is_known = names_process or any(growth is not None for growth in grown.values())
    return ServerReading(restarted=False if is_known else None, **grown)


def _samples(lines: Iterable[str]) -> Iterable[tuple[str, float]]:
    """Name and value of each sample we know."""
    known = {_PROCESS, *(name for names in _COUNTERS.values() for name in names)}
    for line in lines:
        name = line.partition("{")[0].partition(" ")[0]
        if name in known:
            rest = line.rpartition("}")[2] if "{" in line else line.partition(" ")[2]
            with suppress(ValueError, IndexError):
                yield name, float(rest.split()[0])


def _growth(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
