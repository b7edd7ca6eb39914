"""How close a run came to what its hardware allows, as a table in words that need no expert."""

from dataclasses import dataclass

from tokenforge.analysis.plain import Plain, mapping, mappings, number, text
from tokenforge.report.numbers import UNKNOWN, number_text

HOW = (
    "No engine can answer before its arithmetic is done and its weights have come from memory. The share of the limit "
    "is how much of the time a perfect use of the hardware would have needed for the very same tokens, at the batch "
    "and the lengths of this load; the headroom is how many times as many it could have made. MBU is the share of the "
    "memory bandwidth, MFU that of the arithmetic. A request counts as in the batch from its send to its end, so the "
    "shares are never overstated."
)
COLUMNS = (
    "Workload",
    "Runtime",
    "Against",
    "Share of the limit",
    "Headroom",
    "Decode step, least and taken",
    "Decode MBU",
    "Decode MFU",
    "Prefill MFU",
)
_PREFIXES = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6))


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTable:
    """`rows` have a cell per column; `missing` are sentences on runs that have no limit; `sources` name ceilings
    and what is approximate."""

    rows: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...]
    sources: tuple[str, ...]


def limit_table(summary: Plain) -> LimitTable:
    """All runs of a summary that knows of limits; an older one gives an empty table."""
    runs = mappings(summary, "runs")
    pairs = [(run, use) for run in runs for use in mappings(mapping(run, "limits"), "against")]
    notes: dict[str, list[str]] = {}
    for run in runs:
        if note := text(mapping(run, "limits"), "note"):
            notes.setdefault(note, []).append(f"{text(run, 'runtime')} on {text(run, 'workload')}")
    rough = dict.fromkeys(text(run, "model") for run, _ in pairs if mapping(run, "limits").get("is_exact") is False)
    return LimitTable(
        rows=tuple(_row(run, use, names_model=len({text(one, "model") for one in runs}) > 1) for run, use in pairs),
        missing=tuple(f"No limit for {', '.join(names)}: {note}." for note, names in notes.items()),
        sources=tuple(dict.fromkeys(_source(use) for _, use in pairs))
        + tuple(f"The layout of {model} is counted as the common one: its limits are approximate." for model in rough),
    )


def share_line(run: Plain) -> str | None:
    """`vllm@0.32.0 64 % of the machine's measured ceilings`: the first ceiling of a run that has one."""
    use = next(iter(mappings(mapping(run, "limits"), "against")), None)
    if use is None:
        return None
    share = _per_cent(number(mapping(use, "share"), "value"))
    return f"{text(run, 'workload')} on {text(run, 'runtime')} {share} of {_against(use)}"


def _row(run: Plain, use: Plain, *, names_model: bool) -> tuple[str, ...]:
    decode, prefill = mapping(use, "decode"), mapping(use, "prefill")
    headroom = number(use, "headroom")
    return (
        ", ".join(text(run, key) or "" for key in (("workload", "model") if names_model else ("workload",))),
        text(run, "runtime") or "",
        _against(use),
        _share(mapping(use, "share")),
        UNKNOWN if headroom is None else f"{number_text(headroom)}x",
        _step(decode),
        _per_cent(number(decode, "mbu")),
        _per_cent(number(decode, "mfu")),
        _per_cent(number(prefill, "mfu")),
    )


def _against(use: Plain) -> str:
    return "the vendor's peak" if text(use, "kind") == "vendor" else "the machine's measured ceilings"


def _share(share: Plain) -> str:
    low, high = number(share, "low"), number(share, "high")
    between = "" if low is None or high is None else f" ({_per_cent(low)} to {_per_cent(high)})"
    return _per_cent(number(share, "value")) + between


def _step(decode: Plain) -> str:
    took, batch = number(decode, "took_ms"), number(decode, "batch")
    if took is None or batch is None:
        return UNKNOWN
    least, context = number_text(number(decode, "floor_ms")), number_text(round(number(decode, "tokens") or 0))
    return f"{least} of {number_text(took)} ms, {number_text(batch)} in flight at {context} tokens"


def _source(use: Plain) -> str:
    rates = f"{rate_text(number(use, 'bytes_per_s'))}B/s"
    if number(use, "flops") is not None:
        rates += f", {rate_text(number(use, 'flops'))}FLOP/s in {text(use, 'number_format')}"
    else:
        rates += f", arithmetic in {text(use, 'number_format')} not known"
    count = number(use, "devices") or 1
    devices = f"{count:.0f} x {text(use, 'device')}" if count > 1 else text(use, "device") or ""
    against = _against(use)
    name = f"{against[:1].upper()}{against[1:]} ({devices})"
    return f"{name}: {rates}. {text(use, 'source')}, {text(use, 'as_of')}."


def rate_text(rate: float | None) -> str:
    """Three significant figures with a decimal prefix: 4.39e12 -> `4.39 T`."""
    if rate is None:
        return f"{UNKNOWN} "
    for prefix, scale in _PREFIXES:
        if rate >= scale:
            return f"{rate / scale:.3g} {prefix}"
    return f"{rate:.3g} "


def _per_cent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value * 100:.2g} %" if value < 1 else f"{value * 100:.0f} %"
