"""Every query of every board and alert against a real Prometheus, under a real run on both engines."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from observed_rig import Observed, observed
from platform_rig import own_home
from prometheus_client.parser import text_string_to_metric_families

from tokenforge.telemetry.boards.alerts import ALERTS
from tokenforge.telemetry.boards.files import BOARDS
from tokenforge.telemetry.boards.model import Needs
from tokenforge.telemetry.boards.rules import RECORDINGS
from tokenforge.telemetry.catalogue.definition import Kind
from tokenforge.telemetry.vllm_mapping import MAPPED, translate

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
ENDED = "tokenforge_benchmark_requests_total"
QUERIES = [
    *(
        (f"{board.uid} {panel.title} {query.legend}", query.expr, query.needs)
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    ),
    *((f"alert {alert.name}", alert.expr, alert.needs) for alert in ALERTS),
    *((f"rule {rule.record}", rule.record, Needs.NOTHING) for rule in RECORDINGS),
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    own = own_home(folder / "home", home)
    with observed(folder, runtimes=["transformers", "vllm"], qps=4, duration_s=15, home=own) as found:
        yield found


@pytest.mark.parametrize(("name", "expr", "needs"), QUERIES, ids=[name for name, _, _ in QUERIES])
def test_a_query_has_data_under_a_run(seen: Observed, name: str, expr: str, needs: Needs) -> None:
    if needs is Needs.GPU:
        pytest.skip("not run: this machine has no GPU")
    assert seen.had_data(expr), f"{name} is empty: {expr}"


def test_an_empty_query_would_be_found(seen: Observed) -> None:
    assert not seen.had_data("sum(rate(tokenforge_nobody_has_this_total[1m]))")
    assert not seen.had_data('tokenforge_requests_total{deployment="nobody"}')


def test_prometheus_reads_every_page(seen: Observed) -> None:
    processes = {target["labels"]["process"] for target in seen.prometheus.ask("targets")["activeTargets"]}
    assert processes >= {"gateway", "control", "worker"}
    assert seen.had_data('up{process="bench"} == 1')


def test_requests_and_tokens_in_prometheus_are_those_of_the_record(seen: Observed) -> None:
    assert len(seen.requests) > 60
    for outcome, count in Counter(row["outcome"] for row in seen.requests).items():
        assert last(seen, f'sum(last_over_time({ENDED}{{outcome="{outcome}"}}[10m]))') == count
    tokens = sum(row["output_tokens"] or 0 for row in seen.requests)
    assert last(seen, "sum(last_over_time(tokenforge_benchmark_output_tokens_total[10m]))") == tokens


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_quantile_of_the_board_is_within_5_percent_of_the_records(seen: Observed, share: float) -> None:
    ended = [(row["end_ns"] - row["scheduled_ns"]) / 1e9 for row in seen.requests if row["outcome"] == "ok"]
    buckets = "last_over_time(tokenforge_benchmark_request_duration_seconds_bucket[10m])"
    shown = last(seen, f"histogram_quantile({share}, sum by (le) ({buckets}))")
    assert shown == pytest.approx(float(np.quantile(ended, share, method="inverted_cdf")), rel=0.05)


def test_vllms_own_page_says_what_ours_says(seen: Observed) -> None:
    """The worker is idle now, so both halves of its page are of one moment."""
    targets = seen.prometheus.ask("targets")["activeTargets"]
    (address,) = [t["scrapeUrl"] for t in targets if t["labels"].get("runtime", "").startswith("vllm")]
    with urlopen(address, timeout=10) as answer:
        page = answer.read().decode()
    ours = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    theirs = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in translate(page)
        for sample in family.samples
    }
    compared = {key: (ours.get(key, 0.0), value) for key, value in theirs.items() if "kv_cache" not in key[0]}
    assert {key: pair for key, pair in compared.items() if pair[0] != pair[1]} == {}
    assert len(compared) >= 9


def test_vllm_has_every_metric_that_is_mapped(seen: Observed) -> None:
    missing = [
        name for name, metric in MAPPED.items() if seen.prometheus.value(f"count({name}{_behind(metric.kind)})") is None
    ]
    assert missing == []


def _behind(kind: Kind) -> str:
    return "_sum" if kind in (Kind.HISTOGRAM, Kind.SUMMARY) else ""


def last(seen: Observed, expr: str) -> float | None:
    return seen.prometheus.value(expr)
