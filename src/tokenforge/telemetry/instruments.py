"""Instruments made from definitions: prometheus-client's objects, with labels that stay within their bounds.

A child is looked up once for each set of label values and kept, which is also the cheaper way: counting then is one
dictionary look-up and one addition. Not for use from several threads at once.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)

from tokenforge.telemetry.catalogue.definition import OTHER, Kind, Label, Metric

C = TypeVar("C", Counter, Gauge, Histogram)


class LabelBounds:
    """What may be said in each label of a metric; a value beyond becomes `other`."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = labels
        self._seen: list[set[str]] = [set(label.values) for label in labels]

    def within(self, values: Sequence[str]) -> tuple[str, ...]:
        """The values that are counted instead."""
        if len(values) != len(self._labels):
            raise ValueError(f"{len(values)} values for {len(self._labels)} labels")
        return tuple(self._one(place, value) for place, value in enumerate(values))

    def _one(self, place: int, value: str) -> str:
        label, seen = self._labels[place], self._seen[place]
        if value in seen:
            return value
        if label.values or len(seen) >= label.most:
            return OTHER
        seen.add(value)
        return value


_MOST_KNOWN = 4096


class _Children(Generic[C]):
    """The children of a labelled metric, each looked up once."""

    def __init__(self, parent: C, metric: Metric) -> None:
        self._parent: C = parent
        self._bounds = LabelBounds(metric.labels)
        self._known: dict[tuple[str, ...], C] = {} if metric.labels else {(): parent}

    def of(self, values: tuple[str, ...]) -> C:
        """The child for these label values."""
        child = self._known.get(values)
        if child is None:
            child = self._parent.labels(*self._bounds.within(values))
            if len(self._known) < _MOST_KNOWN:
                self._known[values] = child
        return child

    def forget(self, values: tuple[str, ...]) -> None:
        """Take the child for these label values off the page."""
        if self._known.pop(values, None) is not None:
            self._parent.remove(*self._bounds.within(values))


class CounterOf:
    """Counts up."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        name = metric.full_name.removesuffix("_total")
        self._children = _Children(Counter(name, metric.text, metric.label_names, registry=registry), metric)

    def inc(self, *labels: str, by: float = 1.0) -> None:
        """Add `by`."""
        self._children.of(labels).inc(by)


class GaugeOf:
    """Goes up and down."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(metric.full_name, metric.text, metric.label_names, registry=registry)
        self._children = _Children(self._gauge, metric)

    def set(self, value: float, *labels: str) -> None:
        """It is `value` now."""
        self._children.of(labels).set(value)

    def forget(self, *labels: str) -> None:
        """It is not known any more."""
        self._children.forget(labels)


class HistogramOf:
    """Sorts values into buckets."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        histogram = Histogram(
            metric.full_name, metric.text, metric.label_names, buckets=metric.buckets, registry=registry
        )
        self._children = _Children(histogram, metric)

    def observe(self, value: float, *labels: str) -> None:
        """One more value."""
        self._children.of(labels).observe(value)


def family_of(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    """A counter or gauge with these values by its labels, for whoever reads them elsewhere at scrape time."""
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.full_name.removesuffix("_total"), metric.text, labels=metric.label_names)
    for labels, value in values.items():
        if not math.isnan(value):
            family.add_metric(labels, value)
    return family


def summary_of(metric: Metric, *, count: int, total: float) -> Family:
    """A summary without quantiles: how many, and their sum."""
    return SummaryMetricFamily(metric.full_name, metric.text, count_value=count, sum_value=total)
