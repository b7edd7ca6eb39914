"""Everything a page needs beside the record, in one document: `summary` of `record.json`."""

from dataclasses import dataclass

from tokenforge.analysis.figures import Comparison, RunSummary, Validity
from tokenforge.analysis.head_to_head import HeadToHead

SUMMARY_SCHEMA = "tokenforge.summary/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSummary:
    """The headline, the verdict over all runs, the runs; then each against the first, or the one verdict of `compare`.

    `head_to_head` is set for a comparison alone, which has no `comparisons`: one metric decides it.
    """

    schema: str = SUMMARY_SCHEMA
    headline: tuple[str, ...]
    verdict: Validity
    runs: tuple[RunSummary, ...]
    comparisons: tuple[Comparison, ...]
    head_to_head: HeadToHead | None = None
