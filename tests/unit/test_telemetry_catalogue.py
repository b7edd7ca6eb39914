"""The catalogue of metrics: names, units, bounds, and the page made from it."""

import itertools
import re
from pathlib import Path

import pytest

from tokenforge.telemetry.catalogue import METRICS
from tokenforge.telemetry.catalogue.benchmark import FINE_DURATIONS, FINE_TOKENS
from tokenforge.telemetry.catalogue.definition import (
    DURATION_BUCKETS,
    TOKEN_BUCKETS,
    Kind,
    Metric,
    decade_buckets,
)
from tokenforge.telemetry.reference import PAGES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
UNITS = {"seconds", "bytes", "tokens", "ratio", "watts", "joules", "celsius", "hertz"}
named = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / f"{name}.md").read_text() == PAGES[name](), "docs/reference is stale: run `make reference`"


def test_no_two_metrics_have_one_name() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)


@named
def test_a_name_is_lower_case_and_a_counter_alone_ends_in_total(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*[a-z]", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)


@named
def test_the_unit_is_a_base_unit_and_in_the_name(metric: Metric) -> None:
    assert metric.unit in {"", *UNITS}
    assert metric.unit in metric.name.removesuffix("_total")


@named
def test_every_metric_says_what_it_is_in_a_sentence(metric: Metric) -> None:
    assert metric.text.endswith(".")
    assert metric.processes


@named
def test_only_a_histogram_has_buckets_and_they_rise(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert all(low < high for low, high in itertools.pairwise(metric.buckets))


@named
def test_every_label_is_bounded(metric: Metric) -> None:
    assert all(label.values or 0 < label.most <= 1000 for label in metric.labels)


def test_buckets_are_ten_a_decade_from_end_to_end() -> None:
    buckets = decade_buckets(0.001, 1.0)
    assert len(buckets) == 31
    assert (buckets[0], buckets[10], buckets[-1]) == (0.001, 0.01, 1.0)


@pytest.mark.parametrize("buckets", [DURATION_BUCKETS, TOKEN_BUCKETS])
def test_no_bucket_is_wider_than_a_tenth_of_a_decade_below_100_s(buckets: tuple[float, ...]) -> None:
    steps = [high / low for low, high in itertools.pairwise(buckets) if high <= 100]
    assert max(steps) <= 1.28 + 1e-9


@pytest.mark.parametrize("limit", [0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0])
def test_limits_that_people_set_are_bounds_so_their_attainment_is_exact(limit: float) -> None:
    assert limit in DURATION_BUCKETS
    assert limit in TOKEN_BUCKETS


@pytest.mark.parametrize("buckets", [FINE_DURATIONS, FINE_TOKENS])
def test_a_quantile_at_the_load_generator_is_off_by_less_than_5_percent(buckets: tuple[float, ...]) -> None:
    assert max(high / low for low, high in itertools.pairwise(buckets) if high <= 100) < 1.05


def test_the_ends_are_those_of_the_set() -> None:
    assert (DURATION_BUCKETS[0], DURATION_BUCKETS[-3:]) == (0.001, (200.0, 500.0, 1000.0))
    assert TOKEN_BUCKETS[0] == 0.0005
    assert TOKEN_BUCKETS[-1] == 10.0
