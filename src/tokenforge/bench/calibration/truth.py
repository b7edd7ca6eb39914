"""What a null server knows to be true of an answer, and the file it leaves: i64 values, answers one after another.

Each is: prompt number, arrival, count, then `count` hand-over times, then `count` hand-over lengths. ns, monotonic.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_HEAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueAnswer:
    """One whole answer. `prompt` is the number its prompt began with, the name by which the client knows it.

    `arrival_ns` is when the kernel had the whole request. `handed_ns[i]` is taken just before token chunk i was handed
    to the kernel, and `took_ns[i]` is how long that call lasted: the truth lies between.
    """

    prompt: int
    arrival_ns: int
    handed_ns: tuple[int, ...]
    took_ns: tuple[int, ...]


def write_truth(path: Path, answers: Iterable[TrueAnswer]) -> None:
    """Write all answers."""
    numbers = array("q")
    for answer in answers:
        numbers.extend((answer.prompt, answer.arrival_ns, len(answer.handed_ns)))
        numbers.extend(answer.handed_ns)
        numbers.extend(answer.took_ns)
    path.write_bytes(numbers.tobytes())


def read_truth(path: Path) -> tuple[TrueAnswer, ...]:
    """Read a file of `write_truth`. Raises ValueError when it is cut short, OSError when it is not there."""
    numbers = array("q", path.read_bytes())
    answers, at = [], 0
    while at < len(numbers):
        prompt, arrival, count = numbers[at : at + _HEAD]
        handed = tuple(numbers[at + _HEAD : at + _HEAD + count])
        took = tuple(numbers[at + _HEAD + count : at + _HEAD + 2 * count])
        if len(took) != count:
            raise ValueError(f"the truth log ends within answer {prompt}")
        answers.append(TrueAnswer(prompt=prompt, arrival_ns=arrival, handed_ns=handed, took_ns=took))
        at += _HEAD + 2 * count
    return tuple(answers)
