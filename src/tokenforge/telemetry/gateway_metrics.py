"""What the gateway counts."""

from prometheus_client import CollectorRegistry

from tokenforge.telemetry.catalogue.platform import HTTP_DURATION, HTTP_REQUESTS, HTTP_RETRIES
from tokenforge.telemetry.instruments import CounterOf, HistogramOf


class GatewayMetrics:
    """The gateway's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = CounterOf(HTTP_REQUESTS, registry)
        self._duration = HistogramOf(HTTP_DURATION, registry)
        self._retries = CounterOf(HTTP_RETRIES, registry)

    def count(self, path: str, outcome: str, *, duration_s: float) -> None:
        """One request is done."""
        self._requests.inc(path, outcome)
        self._duration.observe(duration_s, path)

    def retried(self, path: str) -> None:
        """A replica did not answer well and another is tried, if there is one."""
        self._retries.inc(path)
