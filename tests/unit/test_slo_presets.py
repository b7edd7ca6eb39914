"""Limits by name in a benchmark."""

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.workload import Slo
from tokenforge.protocol.benchmark import parse_benchmark


def slo_of(slo: dict[str, object]) -> Slo | None:
    load = {"name": "a", "qps": 1, "duration_s": 1}
    body = {"model": "synthetic:tiny", "runtimes": ["sim"], "workloads": [load], "slo": slo}
    return parse_benchmark(body).workloads[0].slo


def test_a_preset_is_its_limits_and_what_is_written_goes_before_it() -> None:
    assert slo_of({"preset": "llama3.1-8b"}) == Slo(ttft_ms=2000, tpot_ms=100)
    assert slo_of({"preset": "llama3.1-8b", "ttft_ms": 900, "attainment": 0.9}) == Slo(
        ttft_ms=900, tpot_ms=100, attainment=0.9
    )


def test_an_unknown_preset_is_told_with_those_that_exist() -> None:
    with pytest.raises(InvalidInput, match=r"llama2-70b-interactive"):
        slo_of({"preset": "llama9"})
