"""Instruments: labels within their bounds, whoever asks; batches counted like single values."""

import math
import random

from prometheus_client import CollectorRegistry, Counter, generate_latest

from tokenforge.telemetry.batches import Batches
from tokenforge.telemetry.catalogue.benchmark import DURATION
from tokenforge.telemetry.catalogue.definition import Label
from tokenforge.telemetry.catalogue.serving import FINISHED, REQUESTS
from tokenforge.telemetry.gateway_metrics import GatewayMetrics
from tokenforge.telemetry.instruments import CounterOf, HistogramOf, LabelBounds
from tokenforge.telemetry.page import Foreign, new_registry, read_page
from tokenforge.telemetry.worker_metrics import WorkerMetrics


def hostile_names(count: int) -> list[str]:
    chance = random.Random(0)
    odd = '"}\n{\\\x00é漢' + "a" * 20
    return ["".join(chance.choices(odd, k=chance.randint(1, 300))) + str(n) for n in range(count)]


def series_of(registry: CollectorRegistry) -> int:
    return sum(1 for line in generate_latest(registry).decode().split("\n") if line and not line.startswith("#"))


def test_a_label_with_known_values_knows_no_other() -> None:
    bounds = LabelBounds(FINISHED.labels)
    assert bounds.within(["stop"]) == ("stop",)
    assert bounds.within(["because"]) == ("other",)


def test_a_label_without_keeps_the_first_ones_apart() -> None:
    bounds = LabelBounds([Label(name="code", text="", most=2)])
    assert [bounds.within([code])[0] for code in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]


def test_a_thousand_hostile_names_in_every_label_of_the_gateway_stay_bounded() -> None:
    metrics = GatewayMetrics(CollectorRegistry())
    for name in hostile_names(1000):
        metrics.count(name, name, duration_s=0.1)
        metrics.retried(name)
    assert series_of(metrics.registry) < 400


def test_a_thousand_hostile_names_in_every_label_of_a_worker_stay_bounded() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    before = series_of(metrics.registry)
    for name in hostile_names(1000):
        metrics.requests.inc(name, name)
        metrics.finished.inc(name)
        metrics.rejected.inc(name)
    assert series_of(metrics.registry) - before < 200


def test_what_is_beyond_the_bound_is_still_counted() -> None:
    registry = CollectorRegistry()
    counter = CounterOf(REQUESTS, registry)
    for name in hostile_names(1000):
        counter.inc("chat", name)
    page = [family for family in registry.collect() if family.name == "tokenforge_requests"]
    assert sum(s.value for s in page[0].samples if s.name.endswith("_total")) == 1000


def test_what_is_kept_of_names_does_not_grow_without_end() -> None:
    counter = CounterOf(REQUESTS, CollectorRegistry())
    for n in range(10_000):
        counter.inc("chat", str(n))
    assert len(counter._children._known) <= 4096


def test_a_batch_is_counted_like_its_values_one_by_one() -> None:
    values = [random.Random(1).lognormvariate(0, 2) for _ in range(500)] + [DURATION.buckets[3]]
    one, many = CollectorRegistry(), CollectorRegistry()
    single, batch = HistogramOf(DURATION, one), Batches(DURATION, many)
    for value in values:
        single.observe(value, "sim", "chat")
    batch.observe(values[:100], "sim", "chat")
    batch.observe(values[100:], "sim", "chat")
    assert buckets_of(one) == buckets_of(many)


def buckets_of(registry: CollectorRegistry) -> list[tuple[str, float]]:
    (family,) = registry.collect()
    return [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]


def test_an_empty_batch_and_unknown_values_leave_the_histogram_absent() -> None:
    registry = CollectorRegistry()
    batch = Batches(DURATION, registry)
    batch.observe([], "sim", "chat")
    batch.observe([math.nan], "sim", "chat")
    assert series_of(registry) == 0


def test_a_labelled_metric_that_was_never_counted_is_absent() -> None:
    registry = CollectorRegistry()
    CounterOf(REQUESTS, registry)
    assert series_of(registry) == 0


def test_a_process_tells_of_itself() -> None:
    page = read_page(new_registry("1")).decode()
    assert "process_cpu_seconds_total" in page
    assert "process_resident_memory_bytes" in page


def test_only_an_engines_own_names_are_passed_on() -> None:
    source = CollectorRegistry()
    for name in ("vllm:tokens", "somebody:tokens"):
        Counter(name, "Tokens.", registry=source).inc()
    assert [family.name for family in Foreign(source).collect()] == ["vllm:tokens"]
