"""What `parity` makes of its options, and which it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.cli.parity import Asked, read_request
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.runtime import Quant, RuntimeRef

ASKED = Asked(
    a="transformers", b="http://user:pass@host:8000/v1", model="synthetic:tiny", prompts=4, tokens=8, prompt_len=16,
    batch=2, quant_a="bf16", quant_b=None, seed=3, out=Path("here"), as_json=False,
)  # fmt: skip


def faults_of(asked: Asked) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read_request(asked, headers={})
    return [fault.field for fault in caught.value.faults]


def test_options_become_a_request() -> None:
    request = read_request(ASKED, headers={"Authorization": "Bearer k"})
    a, b = request.sides
    assert (a.runtime, a.quant, b.url) == (RuntimeRef(name="transformers"), Quant.BF16, "http://user:pass@host:8000")
    assert (request.ask.prompts, request.ask.tokens, request.ask.prompt_tokens, request.ask.batch) == (4, 8, 16, 2)
    assert (request.folder, str(request.model)) == (Path("here"), "synthetic:tiny")


def test_the_command_in_the_record_has_no_password() -> None:
    command = read_request(ASKED, headers={"Authorization": "Bearer k"}).command
    assert command.startswith("tokenforge parity transformers http://host:8000 --model synthetic:tiny --prompts 4")
    assert "pass" not in command
    assert command.endswith("--seed 3 --quant-a bf16")


def test_all_faults_of_a_command_are_told_at_once() -> None:
    assert faults_of(replace(ASKED, a="vlm", b="what is this", quant_a=None)) == ["A", "B"]


def test_a_number_format_that_nobody_knows_is_refused() -> None:
    assert faults_of(replace(ASKED, quant_a="fp7")) == ["--quant-a"]


def test_a_number_format_for_a_server_is_what_it_does_not_say() -> None:
    assert read_request(replace(ASKED, quant_b="fp32"), headers={}).sides[1].quant is Quant.FP32


def test_a_model_that_is_none_is_refused() -> None:
    assert faults_of(replace(ASKED, model="not a model")) == ["--model"]
