"""Reading a body as the user wrote it, before any type was checked: what is not there or of another kind is None."""

from collections.abc import Callable, Mapping, Sequence

from tokenforge.protocol.benchmark_durations import seconds_of


def items(value: object) -> Sequence[object]:
    """The entries of a list; one text is a list of one."""
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, list | tuple) else ()


def number(value: object) -> float | None:
    """A number; a boolean is none."""
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def shortest(length: object) -> float | None:
    """The fewest that a length may come to, None when it cannot be told."""
    return _of(length, lambda parts: parts.get("low", 1), min)


def longest(length: object) -> float | None:
    """The most that a length may come to, None when it cannot be told; without a bound it is infinite."""
    return _of(length, lambda parts: parts.get("high", float("inf")), max)


def mean(length: object) -> float | None:
    """The mean of a length, as far as its bounds do not move it; None when it cannot be told."""

    def middle(parts: Mapping[str, object]) -> object:
        low, high = number(parts.get("low")), number(parts.get("high"))
        return parts["mean"] if "mean" in parts else None if low is None or high is None else (low + high) / 2

    return _of(length, middle, lambda values: sum(values) / len(values))


def steps_of(workload: Mapping[str, object]) -> list[tuple[float, float]]:
    """The rate and seconds of each step that can be read."""
    found = []
    for step in items(workload.get("steps")):
        if isinstance(step, Mapping):
            rate, span = number(step.get("qps")), seconds_of(step.get("duration_s"))
            if rate is not None and span is not None:
                found.append((rate, span))
    return found


def _of(
    length: object,
    bounded: Callable[[Mapping[str, object]], object],
    counted: Callable[[Sequence[float]], float],
) -> float | None:
    if not isinstance(length, Mapping):
        return number(length)
    for kind, parts in length.items():
        if isinstance(parts, Mapping):
            if kind != "histogram":
                return number(bounded(parts))
            values = [value for value in map(number, items(parts.get("values"))) if value is not None]
            return counted(values) if values else None
    return None
