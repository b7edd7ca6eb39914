"""Every code of the validity verdict, once: whose fault it is, what raises it, and what to do about it.

A code is for programs and never changes its meaning; the sentence with the numbers is made where the fault is found.
Whoever adds a check adds its code here, a planted fault to the tests, and renews `docs/reference/validity-codes.md`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Level(enum.StrEnum):
    """How much a reason weighs; a note changes no verdict."""

    NOTE = "note"
    SUSPECT = "suspect"
    INVALID = "invalid"


class Party(enum.StrEnum):
    """Who can spoil a run."""

    CLIENT = "Client"
    MACHINE = "Machine"
    SERVER = "Server"
    RUN = "Run"
    COMPARISON = "Comparison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One cause of doubt. `levels` are those it may have, the lightest first; `rule` says when; `fix` what to do."""

    name: str
    party: Party
    levels: tuple[Level, ...]
    rule: str
    fix: str


_NOTE, _SUSPECT, _INVALID = (Level.NOTE,), (Level.SUSPECT,), (Level.INVALID,)
_DOUBT = (Level.SUSPECT, Level.INVALID)
_QUIETER = "Use more generator processes (`--processes`), a quieter machine, or a lower rate; then run again."

_CLIENT = {
    "generator_late": (
        _DOUBT,
        "Lag (sent minus due) p99 > max(5 ms, 5 % of the median TTFT); INVALID above max(20 ms, 50 %).",
        "Use more generator processes, a quieter machine, or a lower rate.",
    ),
    "rate_off": (
        _DOUBT,
        "The rate sent differs from the rate planned by over 1 %; INVALID by over 10 %.",
        "Use more generator processes or a lower rate.",
    ),
    "arrivals_off": (
        _SUSPECT,
        "Gaps between sends are not of the law asked: Kolmogorov-Smirnov p < 1 % / trials, and distance > 0.05.",
        "Compare lag and rate; use more generator processes, a quieter machine, or a lower rate.",
    ),
    "generator_stalled": (
        (Level.NOTE, Level.SUSPECT),
        "The generator's event loop stood still for over 25 ms; SUSPECT where such pauses fill over 0.1 % of a trial.",
        "End other work on the machine, or use more generator processes.",
    ),
    "generator_busy": (
        _SUSPECT,
        "A generator process used over 90 % of a core.",
        "Give the generator more processes or a machine of its own.",
    ),
    "gc_pause": (
        _NOTE,
        "The generator stood still for over 5 ms to collect garbage.",
        "See the lag; if it is large, use more generator processes.",
    ),
    "instrument_error": (
        _INVALID,
        "Against a server of known truth, p99 of the TTFT or ITL error > max(1 ms, 5 % of the run's median).",
        _QUIETER,
    ),
    "not_calibrated": (
        _NOTE,
        "The generator's own error could not be measured.",
        "Run again on a quieter machine if the error matters.",
    ),
    "merged_reads": (
        _SUSPECT,
        "Over 5 % of reads brought several chunks at once, which then share one stamp.",
        "If the server sends chunks one by one, use more generator processes; else read TPOT instead of ITL.",
    ),
}

_MACHINE = {
    "machine_busy": (
        _SUSPECT,
        "Before the first trial the load average was over half the CPU threads.",
        "End other work on the machine and run again.",
    ),
    "idle_engine_busy": (
        _DOUBT,
        "Engines that were up without work used over 0.1 cores in a trial of another; INVALID over 0.5.",
        "Run one engine at a time: `compare --restart every`, or `order: sequential`.",
    ),
    "cpu_stolen": (
        _SUSPECT,
        "The host took over 5 % of this machine's CPU time for others (steal).",
        "Use a machine with CPUs of its own.",
    ),
    "cpu_throttled": (
        _SUSPECT,
        "The control group's CPU limit stopped its processes for over 1 % of the time.",
        "Raise the CPU limit of the container, or use fewer threads than it allows.",
    ),
    "energy_apart": (
        _NOTE,
        "The energy that the GPUs' counters told and the integral of their power differ by over 5 %.",
        "Use trials of 10 s and more; the counters are what is shown.",
    ),
    "clock_step": (
        _INVALID,
        "An answer came before its request was sent.",
        "Measure with one monotonic clock on one machine.",
    ),
    "clock_stepped": (
        _NOTE,
        "The wall clock was set during the trials (stamps do not come from it).",
        "Nothing to do; let the machine's time settle before the next run.",
    ),
}

_SERVER = {
    "simulated": (
        _SUSPECT,
        "The runtime is the simulator.",
        "Use a real runtime for numbers about real hardware.",
    ),
    "errors": (
        _DOUBT,
        "Over 1 % of requests failed; INVALID over 10 %.",
        "See the outcomes and the engine's log; lower the rate or raise the limits.",
    ),
    "warm_prefix_cache": (
        _DOUBT,
        "The workload shares no prefix, but the prefix cache held 1 % or more of the prompt tokens looked up; INVALID "
        "from 10 %.",
        "Restart the engine or switch its prefix cache off.",
    ),
    "cached_responses": (
        _DOUBT,
        "1 % or more of the answers were whole before an engine of this pace could have made a twentieth of them, or "
        "came at over 50,000 tokens/s; INVALID from 10 %.",
        "Switch off the cache of answers between client and engine.",
    ),
    "server_restarted": (
        _INVALID,
        "The server's process, or its counters, began anew within a trial.",
        "Find out why it restarted (its log, its memory), then run again.",
    ),
    "truncated_output": (
        _DOUBT,
        "Over 1 % of answers were cut: the stream broke off, or it ended by length before the length asked; INVALID "
        "over 10 %.",
        "Raise the server's limits on length and time, or ask for shorter answers.",
    ),
    "output_length": (
        _SUSPECT,
        "Over 1 % of answers have another length than asked.",
        "Compare only with runs whose answers are as long; use a runtime that can ignore the end token.",
    ),
    "token_count": (
        (Level.NOTE, Level.SUSPECT),
        "In over 1 % of answers the server's usage contradicts the stream (another number of tokens, fewer than there "
        "were chunks) or the limit it was given. A note where the server gives text alone and only the sums differ.",
        "Check how the server counts; rates of tokens follow its usage, ITL the chunks.",
    ),
    "multi_token_chunks": (
        _NOTE,
        "Chunks held over 1.05 tokens in the mean; ITL is corrected for it.",
        "Nothing to do; see the raw chunk gaps for what a reader sees.",
    ),
}

_RUN = {
    "server_died": (
        _INVALID,
        "The engine's process ended during the run.",
        "See the engine's last words in the report, mend the cause, run again.",
    ),
    "run_failed": (
        _INVALID,
        "The run failed for another reason.",
        "See the engine's last words in the report, mend the cause, run again.",
    ),
    "run_incomplete": (
        _DOUBT,
        "The run ended before all its trials; INVALID before the first.",
        "Let the run finish; a part of the trials may be the lucky part.",
    ),
    "no_requests": (_INVALID, "No request was recorded.", "Check the plan and the target."),
    "too_few_trials": (
        _SUSPECT,
        "Fewer trials than an interval needs.",
        "Set `trials: 5`.",
    ),
    "too_few_requests": (
        _SUSPECT,
        "Fewer than 100 requests after the warm-up.",
        "Raise `duration_s` or `qps` so that at least 100 requests follow the warm-up.",
    ),
    "too_short": (
        _SUSPECT,
        "A trial's window is shorter than 4 times the p95 of E2E: filling and draining fill half of it.",
        "Raise `duration_s` (or `requests`), so that a trial lasts many answers.",
    ),
    "over_saturated": (
        _SUSPECT,
        "In half of the trials or more, requests in flight and TTFT both grew from start to end.",
        "Lower `qps`, or use `arrival: concurrency` to measure the most it can do.",
    ),
    "not_steady": (
        _SUSPECT,
        "TTFT or output tokens/s changed from a trial's first half to its second: by over 10 % (p < 5 %) where MSER-5 "
        "would cut as much as it may, else by over 25 % (p < 1 %).",
        "Raise `warmup`, then `duration_s`; look for an engine that still compiles, fills a cache or slows down.",
    ),
    "default_warmup": (
        _NOTE,
        "The workload names no warm-up, and its load lasts over a minute.",
        "Set `warmup`, in seconds, to choose it; `warmup: 0` counts everything.",
    ),
    "not_drained": (
        _SUSPECT,
        "Requests had no answer when their trial ended.",
        "Raise `drain_s`, or lower the rate.",
    ),
    "drift": (
        _SUSPECT,
        "From some trial on the engine was surely slower or faster than before, by over 20 % in TPOT.",
        "Look for heat, throttling or other work on the machine; run again, and look at the trials one by one.",
    ),
    "physically_impossible": (
        _DOUBT,
        "Over 1.05 times faster than the hardware's peak (1.5 times a ceiling measured here).",
        "Likely causes: prompts or answers from a cache, answers cut short, tokens counted wrongly, or another model "
        "than the one named.",
    ),
}

_COMPARISON = {
    "plans_differ": (
        _INVALID,
        "Paired trials did not get the same prompts and schedule.",
        "Compare sides that take prompts in the same form; give --tokenizer for a server known by its address.",
    ),
    "server_not_ours": (
        _NOTE,
        "A side is a server that already ran.",
        "Restart it yourself between comparisons, and keep other clients away.",
    ),
    "never_restarted": (
        _NOTE,
        "Each engine was started once.",
        "Use --restart quad.",
    ),
}

_Table = Mapping[str, tuple[tuple[Level, ...], str, str]]
_ALL: Mapping[Party, _Table] = {
    Party.CLIENT: _CLIENT,
    Party.MACHINE: _MACHINE,
    Party.SERVER: _SERVER,
    Party.RUN: _RUN,
    Party.COMPARISON: _COMPARISON,
}

CODES: Mapping[str, Code] = MappingProxyType(
    {
        name: Code(name=name, party=party, levels=levels, rule=rule, fix=fix)
        for party, codes in _ALL.items()
        for name, (levels, rule, fix) in codes.items()
    }
)
"""All codes by name, in the order of the reference."""
