"""Parity on the real Transformers engine: number formats pass, faults planted in the model or the engine fail.

`tiny` is the synthetic model as it is, in float32. `attentive` has larger queries and keys, so that positions matter
enough to be told from the rounding of bfloat16, as they do in trained models.
"""

import json
import pickle
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import planted_models
import pytest
from engine_runs import Engines

from tokenforge.analysis.parity import judge_parity
from tokenforge.domain.parity import ParityResult, ParityVerdict
from tokenforge.runtimes import transformers

pytestmark = [pytest.mark.engine, pytest.mark.timeout(480)]
RUN_LIMIT_S = 420
_MANY_ENDS = list(range(300, 4096, 6))


def _cases(tiny: Path, root: Path) -> list[dict[str, Any]]:
    attentive = planted_models.with_weights(tiny, root / "attentive", planted_models.attentive)
    cases: list[dict[str, Any]] = []
    for group, model, candidate in (("tiny", tiny, "fp32"), ("attentive", attentive, "bf16")):
        four_bits = planted_models.with_weights(model, root / f"{group}-int4", planted_models.in_four_bits)
        theta = planted_models.with_config(model, root / f"{group}-theta", rope_theta=500_000.0)
        cases += [
            {"name": f"{group} reference", "folder": str(model), "quant": "fp32"},
            {"name": f"{group} same", "folder": str(model), "quant": candidate},
            {"name": f"{group} int4", "folder": str(four_bits), "quant": candidate},
            {"name": f"{group} theta", "folder": str(theta), "quant": candidate},
            {"name": f"{group} late", "folder": str(model), "quant": candidate, "shift": 1},
            {"name": f"{group} early", "folder": str(model), "quant": candidate, "shift": -1},
        ]
    cases.append({"name": "tiny bf16", "folder": str(tiny), "quant": "bf16"})
    ends = planted_models.with_config(tiny, root / "ends", eos_token_id=_MANY_ENDS)
    cases += [
        {"name": "ends reference", "folder": str(ends), "quant": "fp32"},
        {"name": "ends wrong", "folder": str(tiny), "quant": "fp32"},
    ]
    return [case | {"group": case["name"].split()[0]} for case in cases]


@pytest.fixture(scope="module")
def recorded(
    models: Callable[[str], Path], engines: Engines, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Any]:
    root = tmp_path_factory.mktemp("parity")
    python, process_env = engines.environment(transformers.PLUG)
    (root / "cases.json").write_text(json.dumps(_cases(models("tiny"), root)))
    script = str(Path(__file__).with_name("run_recordings.py"))
    command = [python, script, str(root / "cases.json"), str(root / "out.pickle")]
    done = subprocess.run(command, env=process_env, timeout=RUN_LIMIT_S, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found: Mapping[str, Any] = pickle.loads((root / "out.pickle").read_bytes())
    return found


def judge(recorded: Mapping[str, Any], case: str) -> ParityResult:
    return judge_parity(recorded[f"{case.split()[0]} reference"], recorded[case])


def test_the_same_model_in_float32_is_equal_to_the_last_token(recorded: Mapping[str, Any]) -> None:
    result = judge(recorded, "tiny same")
    assert result.verdict is ParityVerdict.PASS
    assert result.free is not None
    assert result.free.exact_rate == 1.0


@pytest.mark.parametrize("case", ["tiny bf16", "attentive same"])
def test_bfloat16_passes(recorded: Mapping[str, Any], case: str) -> None:
    result = judge(recorded, case)
    assert (result.verdict, result.number_format) == (ParityVerdict.PASS, "bfloat16"), result.sentence


@pytest.mark.parametrize("fault", ["int4", "theta", "late", "early"])
@pytest.mark.parametrize("group", ["tiny", "attentive"])
def test_a_planted_fault_fails(recorded: Mapping[str, Any], group: str, fault: str) -> None:
    result = judge(recorded, f"{group} {fault}")
    assert result.verdict is ParityVerdict.FAIL, result.sentence
    assert not result.can_win


def test_a_wrong_end_token_fails(recorded: Mapping[str, Any]) -> None:
    result = judge(recorded, "ends wrong")
    assert {"answers_differ", "lengths_differ", "endings_differ"} <= {reason.code for reason in result.reasons}
