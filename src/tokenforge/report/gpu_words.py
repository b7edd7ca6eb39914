"""GPU figures of a run in words: how its energy was told, how busy its cards were, what they held."""

from tokenforge.analysis.plain import Plain, number, text
from tokenforge.report.numbers import UNKNOWN, number_text


def told_by(energy: Plain) -> str:
    """How the energy is known, and how far the other way to know it agrees."""
    ratio = number(energy, "counter_over_integral")
    cards = number(energy, "gpus") or 1
    of = f"{number_text(cards)} GPUs" if cards > 1 else "the GPU"
    if text(energy, "by") != "counter":
        return f"power of {of}, summed up; there is no counter"
    return f"counter of {of}" + ("" if ratio is None else f", {ratio:.3f} of its power summed up")


def share_text(energy: Plain) -> str:
    """The share of time in which a kernel ran."""
    share = number(energy, "utilisation")
    return UNKNOWN if share is None else f"{share:.0%}"


def memory_text(energy: Plain) -> str:
    """The most that was in use on one card."""
    peak = number(energy, "memory_peak_bytes")
    return UNKNOWN if not peak else number_text(peak / 1e9)
