"""A histogram that takes many values at once, for whoever reads them in batches. Apart, for it needs numpy."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.telemetry.catalogue.definition import Metric
from tokenforge.telemetry.instruments import LabelBounds


class Batches(Collector):
    """One histogram; without a value it is absent."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._bounds = LabelBounds(metric.labels)
        self._uppers = np.asarray(metric.buckets)
        self._counts: dict[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def observe(self, values: npt.ArrayLike, *labels: str) -> None:
        """Many more values; NaN is no value."""
        given = np.asarray(values, dtype=np.float64)
        given = given[~np.isnan(given)]
        if not len(given):
            return
        key = self._bounds.within(labels)
        places = np.searchsorted(self._uppers, given, side="left")
        counts = np.bincount(places, minlength=len(self._uppers) + 1)
        self._counts[key] = self._counts[key] + counts if key in self._counts else counts
        self._sums[key] = self._sums.get(key, 0.0) + float(given.sum())

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand."""
        return ()

    def collect(self) -> Iterable[Family]:
        """The histogram so far."""
        metric = self._metric
        family = HistogramMetricFamily(metric.full_name, metric.text, labels=metric.label_names)
        names = [*(repr(upper) for upper in metric.buckets), "+Inf"]
        for key, counts in self._counts.items():
            cumulative = np.cumsum(counts).tolist()
            family.add_metric(key, list(zip(names, cumulative, strict=True)), self._sums[key])
        return (family,)
