"""What must hold of any comparison: sides may change places, units change nothing, a record reads as it was written."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.analysis.compare import Verdict, compare_ratios
from tokenforge.analysis.head_to_head_words import is_factor
from tokenforge.analysis.quads import quads_of
from tokenforge.bench.comparing import address_label, comparison_trials
from tokenforge.bench.order import trial_order
from tokenforge.bench.rebuilding import read_benchmark
from tokenforge.cli.share_text import read_share
from tokenforge.domain.benchmark import Benchmark, Order, without_userinfo
from tokenforge.domain.canonical import sha256_hex, to_plain
from tokenforge.domain.comparison import ComparisonSpec, Restart, Side
from tokenforge.domain.errors import Fault
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import RuntimeRef
from tokenforge.domain.workload import Workload
from tokenforge.report.verdict_view import change

VALUES = st.floats(min_value=1e-3, max_value=1e6)
TRIALS = st.dictionaries(st.integers(min_value=0, max_value=9), VALUES, min_size=2, max_size=10)
RATIOS = st.lists(st.floats(min_value=0.5, max_value=2.0), min_size=3, max_size=12)
OPPOSITE = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}


@given(a=TRIALS, b=TRIALS)
def test_a_quad_turns_over_when_the_sides_change_places(a: dict[int, float], b: dict[int, float]) -> None:
    there, back = quads_of(a, b, positions={}), quads_of(b, a, positions={})
    assert [quad.quad for quad in there] == [quad.quad for quad in back]
    assert all(math.isclose(one.ratio * other.ratio, 1.0) for one, other in zip(there, back, strict=True))


@given(a=TRIALS, b=TRIALS, unit=st.floats(min_value=1e-3, max_value=1e3))
def test_a_change_of_unit_changes_no_ratio(a: dict[int, float], b: dict[int, float], unit: float) -> None:
    plain = quads_of(a, b, positions={})
    scaled = quads_of({t: v * unit for t, v in a.items()}, {t: v * unit for t, v in b.items()}, positions={})
    assert all(math.isclose(one.ratio, other.ratio) for one, other in zip(plain, scaled, strict=True))


@given(ratios=RATIOS, delta=st.floats(min_value=0.001, max_value=0.5))
def test_what_is_better_one_way_is_worse_the_other(ratios: list[float], delta: float) -> None:
    there = compare_ratios(ratios, higher_is_better=True, delta=delta)
    back = compare_ratios([1 / ratio for ratio in ratios], higher_is_better=True, delta=delta)
    assert back.verdict is OPPOSITE.get(there.verdict, there.verdict)
    assert compare_ratios(ratios, higher_is_better=False, delta=delta).verdict is back.verdict


@given(ratios=RATIOS, delta=st.floats(min_value=0.001, max_value=0.5))
def test_the_verdict_follows_from_the_intervals_that_are_shown(ratios: list[float], delta: float) -> None:
    found = compare_ratios(ratios, higher_is_better=True, delta=delta)
    assert found.low is not None
    assert found.high is not None
    assert found.inner_low is not None
    assert found.inner_high is not None
    assert found.low <= found.inner_low <= found.inner_high <= found.high
    is_inside = 1 / (1 + delta) < found.inner_low and found.inner_high < 1 + delta
    assert (found.verdict is Verdict.EQUIVALENT) == is_inside
    assert found.verdict is not Verdict.BETTER or found.low > 1
    assert (found.trials_needed is not None) == (found.verdict is Verdict.INCONCLUSIVE)
    assert found.trials_needed is None or found.trials_needed > len(ratios)


@given(seed=st.integers(min_value=0, max_value=10_000), quads=st.integers(min_value=1, max_value=9))
def test_both_sides_run_both_blocks_of_every_quad_within_four_trials(seed: int, quads: int) -> None:
    trials = comparison_trials(quads)
    steps = trial_order(runtimes=2, workloads=1, trials=trials, order=Order.INTERLEAVED, seed=seed)
    for number in range(quads):
        quad = steps[4 * number : 4 * number + 4]
        assert {(step.runtime, step.trial) for step in quad} == {(s, 2 * number + t) for s in (0, 1) for t in (0, 1)}
        assert quad[0].runtime == quad[3].runtime != quad[1].runtime == quad[2].runtime


def test_the_spec_of_a_comparison_reads_as_it_was_written() -> None:
    sides = (Side(runtime=RuntimeRef(name="vllm"), engine_args={"a": [1, True]}), Side(url="http://h:1"))
    spec = ComparisonSpec(sides=sides, quads=4, metric="e2e_mean", delta=0.1, restart=Restart.EVERY)
    benchmark = Benchmark(
        models=(parse_model("synthetic:tiny"),),
        runtimes=(RuntimeRef(name="vllm"), RuntimeRef(name="openai")),
        workloads=(Workload(name="w", qps=1.0, duration_s=1.0),),
        comparison=spec,
    )
    plain = json.loads(json.dumps(to_plain(benchmark)))
    again = read_benchmark({"benchmark": plain})
    assert again.comparison == spec
    assert sha256_hex(again) == sha256_hex(benchmark)


@pytest.mark.parametrize(
    ("url", "label", "shown"),
    [
        ("http://h:1", "h:1", "http://h:1"),
        ("https://me:pass@h/v1", "h", "https://h/v1"),
        ("http://[::1]:8000/x@y", "[::1]:8000", "http://[::1]:8000/x@y"),
    ],
)
def test_a_server_is_named_by_its_address_without_user_and_password(url: str, label: str, shown: str) -> None:
    assert address_label(url) == label
    assert without_userinfo(url) == shown


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), (" 2.5 % ", 0.025), (".1", 0.1)])
def test_a_share_is_read_as_people_write_it(text: str, share: float) -> None:
    faults: list[Fault] = []
    assert read_share("--delta", text, faults) == pytest.approx(share)
    assert not faults


@pytest.mark.parametrize("text", ["5", "0", "100%", "-1%", "five", "", "nan"])
def test_what_is_no_share_is_a_fault_that_says_how_to_write_one(text: str) -> None:
    faults: list[Fault] = []
    read_share("--delta", text, faults)
    assert [(fault.field, fault.hint) for fault in faults] == [("--delta", "write 5% or 0.05")]


@pytest.mark.parametrize(
    ("ratio", "words"), [(1.081, "+8.1 %"), (0.97, "-3.0 %"), (2.99, "2.99x"), (0.4, "0.40x"), (None, "–")]
)
def test_a_change_is_told_in_percent_until_it_doubles(ratio: float | None, words: str) -> None:
    assert change(ratio) == words
    assert ratio is None or is_factor(ratio) == words.endswith("x")
