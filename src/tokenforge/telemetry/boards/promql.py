"""PromQL from definitions: a metric is named by its definition, so a query can't name one that nobody has."""

from collections.abc import Sequence

from tokenforge.telemetry.catalogue.definition import Metric

WINDOW = "$__rate_interval"
"""Grafana puts in what fits the panel and the scrape interval."""

OF_DEPLOYMENT = 'deployment=~"$deployment"'
OF_BENCHMARK = 'runtime=~"$runtime",workload=~"$workload"'


def select(metric: Metric, where: str = "", *, suffix: str = "") -> str:
    """The series of a metric."""
    return f"{metric.full_name}{suffix}{{{where}}}" if where else f"{metric.full_name}{suffix}"


def rate(metric: Metric, *, by: Sequence[str] = (), where: str = "", suffix: str = "", window: str = WINDOW) -> str:
    """How much it grows a second, added up by labels."""
    return f"{_sum(by)}(rate({select(metric, where, suffix=suffix)}[{window}]))"


def grown(metric: Metric, *, by: Sequence[str] = (), where: str = "", window: str = "1h") -> str:
    """How much it grew in a window, added up by labels."""
    return f"{_sum(by)}(increase({select(metric, where)}[{window}]))"


def total(metric: Metric, *, by: Sequence[str] = (), where: str = "") -> str:
    """Its value now, added up by labels."""
    return f"{_sum(by)}({select(metric, where)})"


def mean(metric: Metric, *, by: Sequence[str] = (), where: str = "", window: str = WINDOW) -> str:
    """The mean of a histogram or summary over a window."""
    sums = rate(metric, by=by, where=where, suffix="_sum", window=window)
    return f"{sums} / {rate(metric, by=by, where=where, suffix='_count', window=window)}"


def quantile(share: float, metric: Metric, *, by: Sequence[str] = (), where: str = "", window: str = WINDOW) -> str:
    """A quantile of a histogram over a window."""
    buckets = rate(metric, by=("le", *by), where=where, suffix="_bucket", window=window)
    return f"histogram_quantile({share:g}, {buckets})"


def _sum(by: Sequence[str]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum "
