"""Answers of a null server and the records that a client made of them, as tests want them."""

from dataclasses import replace

import numpy as np
from record_samples import MS, one_request

from tokenforge.bench.calibration.truth import TrueAnswer
from tokenforge.domain.record import RequestRecord


def answers(count: int, *, tokens: int = 8, seed: int = 1) -> list[TrueAnswer]:
    """`count` answers, 10 ms apart: first token after about 20 ms, then one every 5 ms."""
    chance = np.random.default_rng(seed)
    made = []
    for prompt in range(count):
        arrival = prompt * 10 * MS
        handed = arrival + 20 * MS + np.arange(tokens) * 5 * MS + chance.integers(0, MS, tokens)
        stamps = tuple(int(at) for at in handed)
        made.append(TrueAnswer(prompt=prompt, arrival_ns=arrival, handed_ns=stamps, took_ns=(8_000,) * tokens))
    return made


def record_of(answer: TrueAnswer, *, origin_ns: int = 77, late_ns: int = 0, blur_ns: int = 0) -> RequestRecord:
    """What an exact client records of it; `late_ns` moves all its chunks, `blur_ns` every second one."""
    stamps = [at - origin_ns + late_ns + blur_ns * (i % 2) for i, at in enumerate(answer.handed_ns)]
    base = one_request(index=answer.prompt, sent_ns=answer.arrival_ns - origin_ns, chunk_ns=tuple(stamps))
    return replace(base, first_ns=stamps[0], end_ns=stamps[-1], chunk_tokens=(1,) * len(stamps))
