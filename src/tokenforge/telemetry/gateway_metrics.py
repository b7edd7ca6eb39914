"""Every metric of the gateway, defined once. Labels are few and bounded: a path of ours and an outcome's code."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from tokenforge.telemetry.metrics import DURATION_BUCKETS


class GatewayMetrics:
    """The gateway's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "tokenforge_http_requests", "Requests answered by the gateway.", ["path", "outcome"], registry=registry
        )
        self._duration = Histogram(
            "tokenforge_http_request_duration_seconds",
            "From a request's arrival to its last byte.",
            ["path"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._retries = Counter(
            "tokenforge_http_retries", "Requests brought to another replica.", ["path"], registry=registry
        )

    def count(self, path: str, outcome: str, *, duration_s: float) -> None:
        """One request is done."""
        self._requests.labels(path=path, outcome=outcome).inc()
        self._duration.labels(path=path).observe(duration_s)

    def retried(self, path: str) -> None:
        """A replica did not answer well and another is tried, if there is one."""
        self._retries.labels(path=path).inc()
