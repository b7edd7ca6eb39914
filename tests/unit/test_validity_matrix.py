"""The matrix: every planted fault is found under its own code, and a clean run under none."""

import ast
from pathlib import Path

import pytest
from planted_faults import FAULTS, clean

import tokenforge.analysis
from tokenforge.analysis.figures import RunSummary, Validity
from tokenforge.analysis.validity import verdict_of
from tokenforge.analysis.validity_codes import CODES, Level, Party

_VERDICTS = {Level.NOTE: Validity.VALID, Level.SUSPECT: Validity.SUSPECT, Level.INVALID: Validity.INVALID}


def codes(run: RunSummary) -> set[str]:
    return {reason.code for reason in run.reasons}


def named_in_source() -> set[str]:
    """The first argument of every `reason(...)` in the analysis; both words of a choice."""
    folder = Path(next(iter(tokenforge.analysis.__path__)))
    trees = (ast.parse(path.read_text()) for path in sorted(folder.glob("*.py")))
    calls = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))
    firsts = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "reason"]
    outcomes = [part for one in firsts for part in ((one.body, one.orelse) if isinstance(one, ast.IfExp) else (one,))]
    return {str(part.value) for part in outcomes if isinstance(part, ast.Constant)}


@pytest.mark.parametrize("code", FAULTS)
def test_a_planted_fault_is_found_under_its_own_code(code: str) -> None:
    fault = FAULTS[code]
    run = fault.run()
    assert codes(run) == {code} | fault.also
    found = next(reason for reason in run.reasons if reason.code == code)
    assert found.level in CODES[code].levels
    assert run.verdict is verdict_of(run.reasons)
    assert run.verdict is _VERDICTS[run.reasons[0].level]


@pytest.mark.parametrize("code", FAULTS)
def test_every_reason_is_a_sentence_with_numbers_and_something_to_do(code: str) -> None:
    for reason in FAULTS[code].run().reasons:
        assert reason.sentence.endswith(".")
        assert reason.fix.endswith(".")
        assert "nan" not in reason.sentence


def test_every_code_has_a_fault_and_every_reason_a_code() -> None:
    assert set(FAULTS) == {code.name for code in CODES.values() if code.party is not Party.COMPARISON}
    assert named_in_source() == set(CODES)


def test_twenty_clean_runs_are_not_accused() -> None:
    verdicts = [clean(seed).verdict for seed in range(20)]
    assert verdicts.count(Validity.INVALID) == 0
    assert verdicts.count(Validity.SUSPECT) <= 1
