"""How often does parity accuse an engine that only rounds, and how often does it miss one that is wrong?"""

from collections import Counter
from collections.abc import Callable

import pytest
from twin_llama import Twin, some_prompts

from tokenforge.analysis.parity import judge_parity
from tokenforge.domain.parity import Reference

pytestmark = pytest.mark.science

MODELS = 20
PROMPTS = some_prompts(16, length=24)
TOKENS = 20


def verdicts(reference: Callable[[int], Twin], candidate: Callable[[int], Twin], seed: int) -> Counter[str]:
    """Over models of their own random weights."""
    found: Counter[str] = Counter()
    for number in range(MODELS):
        told: Reference = reference(1000 * seed + number).reference(PROMPTS, tokens=TOKENS)
        said = candidate(1000 * seed + number).record(PROMPTS, told, tokens=TOKENS)
        found[judge_parity(told, said).verdict.value] += 1
    return found


@pytest.mark.parametrize("ours", ["float32", "bfloat16"])
@pytest.mark.parametrize("theirs", ["float32", "float16", "bfloat16"])
def test_number_formats_alone_are_not_accused(ours: str, theirs: str, seed: int, show: Callable[[str], None]) -> None:
    found = verdicts(
        lambda number: Twin(seed=number, number_format=ours),
        lambda number: Twin(seed=number, number_format=theirs),
        seed,
    )
    show(f"parity, {theirs} against {ours}: {found['PASS']} of {MODELS} pass")
    assert found["PASS"] >= MODELS - 1


@pytest.mark.parametrize("fault", ["theta", "late", "int4"])
def test_a_fault_is_found_under_the_rounding_of_bfloat16(fault: str, seed: int, show: Callable[[str], None]) -> None:
    def wrong(number: int) -> Twin:
        return {
            "theta": Twin(seed=number, number_format="bfloat16", theta=20_000.0),
            "late": Twin(seed=number, number_format="bfloat16", decode_shift=1),
            "int4": Twin(seed=number, number_format="bfloat16", weight_bits=4),
        }[fault]

    found = verdicts(lambda number: Twin(seed=number), wrong, seed)
    show(f"parity, fault {fault} in bfloat16: {found['FAIL']} of {MODELS} fail")
    assert found["FAIL"] == MODELS
