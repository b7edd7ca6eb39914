"""The first words of a report: what came out, and whether to believe it. Never a winner that the data doesn't carry."""

from collections.abc import Sequence, Set

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.figures import Comparison, RunSummary, Validity

_LATENCY_FIRST = ("ttft_mean", "tpot_mean", "e2e_mean")
_THROUGHPUT_FIRST = ("output_tokens_per_s", "tpot_mean", "ttft_mean")
_MOST_PAIRS = 2
_UNSETTLED = "the run had not settled, see the reasons"


def headline(runs: Sequence[RunSummary], comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """A sentence per comparison of note (or what the only runtime did), then one on trust; distrust comes first."""
    if not runs or not any(run.ok for run in runs):
        return ("Nothing was measured: no request was answered.", _trust(runs))
    said = (
        _comparisons_said(comparisons, runs) if comparisons else [_alone(run) for run in runs if run.ok][:_MOST_PAIRS]
    )
    is_invalid = any(run.verdict is Validity.INVALID for run in runs)
    return (_trust(runs), *said) if is_invalid else (*said, _trust(runs))


def _comparisons_said(comparisons: Sequence[Comparison], runs: Sequence[RunSummary]) -> list[str]:
    unsettled = {(run.model, run.workload, run.runtime): run.unsettled for run in runs}
    pairs: dict[tuple[str, str, str, str], list[Comparison]] = {}
    for one in comparisons:
        pairs.setdefault((one.model, one.workload, one.baseline, one.runtime), []).append(one)
    many = len({(model, workload) for model, workload, _, _ in pairs}) > 1
    said = [
        (_prefix(workload) if many else "")
        + _pair_said(group, without=unsettled[model, workload, one] | unsettled[model, workload, other])
        for (model, workload, one, other), group in pairs.items()
    ]
    if len(said) > _MOST_PAIRS:
        rest = len(said) - _MOST_PAIRS
        return [*said[:_MOST_PAIRS], f"{rest} more comparison{'s' * (rest > 1)} below."]
    return said


def _pair_said(group: Sequence[Comparison], *, without: Set[str]) -> str:
    """Throughput where the engine set it, latency where the load did; the first decided one of those that matter."""
    by_metric = {one.metric: one for one in group}
    rate = by_metric["output_tokens_per_s"]
    order = _LATENCY_FIRST if rate.verdict is Verdict.OFFERED else _THROUGHPUT_FIRST
    ranked = [by_metric[name] for name in order if name in by_metric and name not in without]
    if not ranked:
        return f"{group[0].runtime} and {group[0].baseline} are not compared here: {_UNSETTLED}."
    decided = [one for one in ranked if one.verdict in {Verdict.BETTER, Verdict.WORSE, Verdict.EQUIVALENT}]
    return (decided or ranked)[0].sentence


def _alone(run: RunSummary) -> str:
    ttft = run.latencies["ttft" if run.loop == "open" else "ttft_service"].mean.value
    tpot = run.latencies["tpot"].mean.value
    rate = run.output_tokens_per_s.value
    parts = [
        f"{rate:.4g} output tokens/s" if rate is not None and "output_tokens_per_s" not in run.unsettled else "",
        f"mean TTFT {ttft:.4g} ms" if ttft is not None and "ttft_mean" not in run.unsettled else "",
        f"mean TPOT {tpot:.4g} ms" if tpot is not None else "",
    ]
    load = f" at {run.asked_rate:.4g} requests/s" if run.asked_rate is not None else ""
    name = f"{run.runtime} (simulated)" if run.simulated else run.runtime
    return f"{name} on {run.workload}{load}: {', '.join(part for part in parts if part) or _UNSETTLED}."


def _trust(runs: Sequence[RunSummary]) -> str:
    bad = [run for run in runs if run.verdict is Validity.INVALID]
    doubtful = [run for run in runs if run.verdict is Validity.SUSPECT]
    if not runs:
        return "There is no run."
    if bad:
        return f"Do not use these numbers: {_why(bad)}"
    if doubtful:
        return f"Read with care: {_why(doubtful)}"
    return "Every run passed all validity checks." if len(runs) > 1 else "The run passed all validity checks."


def _why(runs: Sequence[RunSummary]) -> str:
    """The gravest reason of the first run, and how many others there are."""
    shared = runs[0].reasons[0]
    same = [run for run in runs if run.reasons[0].code == shared.code]
    where = "" if len(same) == len(runs) and len(runs) > 1 else f"{runs[0].runtime} on {runs[0].workload}: "
    more = len({reason.code for run in runs for reason in run.reasons if reason.level != "note"}) - 1
    tail = f" ({more} more reason{'s' * (more > 1)} below.)" if more else ""
    return f"{where}{shared.sentence}{tail}"


def _prefix(workload: str) -> str:
    return f"On {workload}, "
