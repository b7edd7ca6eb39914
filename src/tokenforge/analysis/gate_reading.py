"""Runs as the gate sees them: per-trial metrics, plans and validity out of a record with its summary.

A gate compares runs of one subject: a model on a runtime under a workload. The runtime counts by its name, because its
version is what a gate is often asked about; two versions in one record are told apart by the whole label.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenforge.analysis.document import Plain, mapping, mappings, number, text, whole
from tokenforge.analysis.figures import Level, Validity
from tokenforge.analysis.likeness import Recorded
from tokenforge.domain.run import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class GateMetric:
    """A metric by its name on the command line. `source` is a latency of the summary; None: a rate of its trials."""

    name: str
    label: str
    unit: str
    source: str | None = None
    statistic: str = "mean"

    @property
    def higher_is_better(self) -> bool:
        """Rates are; latencies are not."""
        return self.source is None


METRICS = {
    one.name: one
    for one in (
        GateMetric(name="output_tokens_per_s", label="output throughput", unit="tokens/s"),
        GateMetric(name="goodput", label="goodput", unit="requests/s"),
        GateMetric(name="ttft_mean", label="mean TTFT", unit="ms", source="ttft"),
        GateMetric(name="ttft_p50", label="median TTFT", unit="ms", source="ttft", statistic="p50"),
        GateMetric(name="ttft_p99", label="p99 TTFT", unit="ms", source="ttft", statistic="p99"),
        GateMetric(name="tpot_mean", label="mean TPOT", unit="ms", source="tpot"),
        GateMetric(name="tpot_p50", label="median TPOT", unit="ms", source="tpot", statistic="p50"),
        GateMetric(name="itl_mean", label="mean ITL", unit="ms", source="itl"),
        GateMetric(name="itl_p99", label="p99 ITL", unit="ms", source="itl", statistic="p99"),
        GateMetric(name="e2e_mean", label="mean end-to-end latency", unit="ms", source="e2e"),
        GateMetric(name="e2e_p99", label="p99 end-to-end latency", unit="ms", source="e2e", statistic="p99"),
    )
}
_OPEN = ("ttft_mean", "ttft_p99", "tpot_mean", "e2e_mean")
_CLOSED = ("output_tokens_per_s",)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Subject:
    """What is gated: `runtime` is a name, or the whole label where one record has several versions of it."""

    model: str
    runtime: str
    workload: str

    def __str__(self) -> str:
        return f"{self.workload} on {self.runtime} ({self.model})"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """One run of one record. `values[metric][trial]` and `plans[trial]` by number; `label` is how the user named it.

    `doubts` are the sentences that make it INVALID, `suspicions` the codes of what makes it SUSPECT.
    """

    label: str
    record_id: str
    created_at: str
    subject: Subject
    loop: str
    has_goodput: bool
    carries_p99: bool
    status: str
    verdict: str
    doubts: tuple[str, ...]
    suspicions: tuple[str, ...]
    simulated: bool
    values: Mapping[str, Mapping[int, float]]
    plans: Mapping[int, str]
    recorded: Recorded

    @property
    def objection(self) -> str | None:
        """Why its numbers can't be used at all; None where they can (they may still be SUSPECT)."""
        if self.verdict == Validity.INVALID:
            return f"{self.label} is INVALID for {self.subject}: {' '.join(self.doubts) or 'no reason was recorded.'}"
        if self.status != RunStatus.SUCCEEDED:
            return f"{self.label} is not whole: its run of {self.subject} ended as {self.status}."
        return None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is gated unless the user chose: throughput in a closed loop, latencies in an open one, goodput."""
        chosen = _OPEN if self.loop == "open" else _CLOSED
        kept = tuple(name for name in chosen if name != "ttft_p99" or self.carries_p99)
        return (*kept, "goodput") if self.has_goodput else kept


def read_gate_runs(document: Plain, *, label: str) -> tuple[GateRun, ...]:
    """Every run of a record that has its `summary`, in order."""
    entries = {text(entry, "id"): entry for entry in mappings(document, "runs")}
    summaries = [run for run in mappings(mapping(document, "summary"), "runs") if text(run, "run_id") in entries]
    names = Counter(_subject(run, whole_label=False) for run in summaries)
    return tuple(
        _read(
            document, entries[text(run, "run_id")], run, label=label, alone=names[_subject(run, whole_label=False)] == 1
        )
        for run in summaries
    )


def _subject(run: Plain, *, whole_label: bool) -> Subject:
    runtime = text(run, "runtime") or ""
    return Subject(
        model=text(run, "model") or "",
        runtime=runtime if whole_label else runtime.partition("@")[0],
        workload=text(run, "workload") or "",
    )


def _read(document: Plain, entry: Plain, run: Plain, *, label: str, alone: bool) -> GateRun:
    loop = text(run, "loop") or ""
    suffix = "" if loop == "open" else "_service"
    p99 = mapping(mapping(mapping(run, "latencies"), "ttft" + suffix), "p99")
    reasons = mappings(run, "reasons")
    return GateRun(
        label=label,
        record_id=text(document, "id") or "",
        created_at=text(document, "created_at") or "",
        subject=_subject(run, whole_label=not alone),
        loop=loop,
        has_goodput=number(run, "attainment_asked") is not None,
        carries_p99=number(p99, "low") is not None,
        status=text(run, "status") or "failed",
        verdict=text(run, "verdict") or Validity.INVALID,
        doubts=tuple(text(one, "sentence") or "" for one in reasons if text(one, "level") == Level.INVALID),
        suspicions=tuple(text(one, "code") or "" for one in reasons if text(one, "level") == Level.SUSPECT),
        simulated=run.get("simulated") is True,
        values={name: _values(run, metric, suffix=suffix) for name, metric in METRICS.items()},
        plans={whole(one, "trial") or 0: text(one, "plan_digest") or "" for one in mappings(entry, "trials")},
        recorded=Recorded(document=document, entry=entry),
    )


def _values(run: Plain, metric: GateMetric, *, suffix: str) -> Mapping[int, float]:
    if metric.source is None:
        return _by_trial(mappings(run, "trials"), metric.name)
    source = metric.source + (suffix if metric.source in {"ttft", "e2e"} else "")
    return _by_trial(mappings(mapping(mapping(run, "latencies"), source), "per_trial"), metric.statistic)


def _by_trial(rows: Sequence[Plain], key: str) -> Mapping[int, float]:
    found = ((whole(row, "trial"), number(row, key)) for row in rows)
    return {trial: value for trial, value in found if trial is not None and value is not None}
