"""What the gateway counts.

Counting a request is one look-up and a few additions; the page's objects are made of that when somebody asks for them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.telemetry.catalogue.definition import OTHER
from tokenforge.telemetry.catalogue.platform import HTTP_DURATION, HTTP_REQUESTS, HTTP_RETRIES, HTTP_TOKENS
from tokenforge.telemetry.instruments import CounterOf, LabelBounds, family_of

_BOUNDS = HTTP_DURATION.buckets
_MOST_LINES = 1024


class Tokens(Protocol):
    """What a client was given, and who counted: the engine, or the gateway its events."""

    @property
    def prompt_tokens(self) -> int:
        """Of the prompt."""
        ...

    @property
    def completion_tokens(self) -> int:
        """Of the answer."""
        ...

    @property
    def source(self) -> str:
        """`engine` or `events`."""
        ...


class _Line:
    """Requests of one path that ended alike: how many, their seconds, and how many in each bucket."""

    __slots__ = ("bins", "total_s")

    def __init__(self) -> None:
        self.total_s = 0.0
        self.bins = [0] * (len(_BOUNDS) + 1)


class GatewayMetrics(Collector):
    """The gateway's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._lines: dict[tuple[str, str], _Line] = {}
        self._within = LabelBounds(HTTP_REQUESTS.labels).within
        self._retries = CounterOf(HTTP_RETRIES, registry)
        self._tokens: dict[str, list[int]] = {}
        registry.register(self)

    def count(self, path: str, outcome: str, *, duration_s: float) -> None:
        """One request is done."""
        line = self._lines.get((path, outcome)) or self._line(path, outcome)
        line.total_s += duration_s
        line.bins[bisect_left(_BOUNDS, duration_s)] += 1

    def delivered(self, usage: Tokens) -> None:
        """So many tokens went through to a client."""
        tokens = self._tokens.get(usage.source)
        if tokens is None:
            tokens = self._tokens[usage.source] = [0, 0]
        tokens[0] += usage.prompt_tokens
        tokens[1] += usage.completion_tokens

    def retried(self, path: str) -> None:
        """A replica did not answer well and another is tried, if there is one."""
        self._retries.inc(path)

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand: what was not counted is absent."""
        return ()

    def collect(self) -> Iterator[Family]:
        """What was counted."""
        requests: dict[tuple[str, ...], float] = {}
        durations: dict[str, list[_Line]] = {}
        for (path, outcome), line in tuple(self._lines.items()):
            labels = self._within((path, outcome))
            requests[labels] = requests.get(labels, 0.0) + sum(line.bins)
            durations.setdefault(labels[0], []).append(line)
        yield family_of(HTTP_REQUESTS, requests)
        family = HistogramMetricFamily(HTTP_DURATION.full_name, HTTP_DURATION.text, labels=HTTP_DURATION.label_names)
        for path, lines in durations.items():
            family.add_metric([path], _cumulated(lines), sum(line.total_s for line in lines))
        yield family
        tokens: dict[tuple[str, ...], float] = {}
        for source, (prompt, completion) in self._tokens.items():
            tokens["prompt", source], tokens["completion", source] = prompt, completion
        yield family_of(HTTP_TOKENS, tokens)

    def _line(self, path: str, outcome: str) -> _Line:
        key = (path, outcome) if len(self._lines) < _MOST_LINES else (OTHER, OTHER)
        return self._lines.setdefault(key, _Line())


def _cumulated(lines: list[_Line]) -> list[tuple[str, float]]:
    """Buckets as the page has them: all up to a bound."""
    total, buckets = 0, []
    for number, bound in enumerate((*map(str, _BOUNDS), "+Inf")):
        total += sum(line.bins[number] for line in lines)
        buckets.append((bound, float(total)))
    return buckets
