"""Counters of a worker against the records of the load that it served: equal, to the token and the request."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import worker_rig as rig
from driver_jobs import drive_job, open_plan
from prometheus_client.parser import text_string_to_metric_families

from tokenforge.bench.driver.offer import offer
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.domain.workload import Arrival
from tokenforge.telemetry.catalogue.definition import DURATION_BUCKETS

FAULTY: Mapping[str, object] = {"error_rate": 0.1, "truncate_rate": 0.1, "step_ms": 2.0, "max_num_seqs": 8}


@dataclass(frozen=True, slots=True)
class Served:
    """What a worker's page said after a load, and the records of that load."""

    page: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
    records: tuple[RequestRecord, ...]

    def value(self, name: str, **labels: str) -> float:
        return self.page.get((f"tokenforge_{name}", tuple(sorted(labels.items()))), 0.0)

    def quantile(self, name: str, share: float) -> int:
        """The place of the bucket in which a quantile lies."""
        rows = sorted(
            (float(dict(labels)["le"]), value)
            for (full, labels), value in self.page.items()
            if full == f"tokenforge_{name}_bucket"
        )
        return next(n for n, (_, count) in enumerate(rows) if count >= share * rows[-1][1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, models: Callable[[str], Path]) -> Served:
    return asyncio.run(serve(tmp_path_factory.mktemp("truth"), models("tiny")))


async def serve(folder: Path, model: Path) -> Served:
    """One load on one worker."""
    launch = rig.launch_of(model, engine_args=FAULTY)
    async with rig.running(folder, launch) as worker:
        plan = open_plan(300, rate=100.0, tokens=12, arrival=Arrival.POISSON)
        job = replace(drive_job(worker.url, plan, folder, continuous_usage=True), model="tiny")
        result = await offer(job)
        text = (await rig.get(worker, "/metrics")).body.decode()
    page = {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return Served(page, result.recorded.records())


def test_the_load_had_answers_errors_and_cut_streams(served: Served) -> None:
    outcomes = Counter(record.outcome for record in served.records)
    assert outcomes[Outcome.OK] > 200
    assert outcomes[Outcome.HTTP_ERROR] > 5
    assert sum(outcomes.values()) == 300


def test_requests_by_outcome_are_those_of_the_records(served: Served) -> None:
    ok = sum(record.outcome is Outcome.OK for record in served.records)
    assert served.value("requests_total", operation="completions", outcome="ok") == ok
    others = [
        v
        for (name, labels), v in served.page.items()
        if name == "tokenforge_requests_total" and dict(labels)["outcome"] != "ok"
    ]
    assert sum(others) == len(served.records) - ok


def test_tokens_are_those_of_the_records(served: Served) -> None:
    ended = [record for record in served.records if record.outcome is Outcome.OK]
    assert served.value("prompt_tokens_total", source="untold") == sum(r.prompt_tokens or 0 for r in ended)
    assert served.value("request_generation_tokens_sum") == sum(r.output_tokens or 0 for r in ended)
    every = sum(max(r.output_tokens or 0, r.counted_tokens) for r in served.records)
    assert served.value("generation_tokens_total") == every


def test_the_median_time_to_first_token_lies_within_a_bucket_of_the_records(served: Served) -> None:
    waits = [(r.first_ns - r.sent_ns) / 1e9 for r in served.records if r.first_ns is not None and r.sent_ns is not None]
    true = int(np.searchsorted(DURATION_BUCKETS, float(np.median(waits))))
    assert abs(served.quantile("request_time_to_first_token_seconds", 0.5) - true) <= 1


def test_the_phases_of_all_requests_add_up_to_the_time_until_their_last_token(served: Served) -> None:
    parts = sum(served.value("request_phase_seconds_sum", phase=p) for p in ("worker", "queue", "prefill", "decode"))
    ended = served.value("request_phase_seconds_count", phase="queue")
    whole = served.value("request_duration_seconds_sum")
    assert ended > 200
    assert 0.5 * whole < parts < whole * (1 + 1e-9)
    assert not math.isnan(parts)
