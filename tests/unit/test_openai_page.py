"""The page on OpenAI's API says of the simulator what the simulator says of itself."""

import re
from pathlib import Path

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.generation import Capabilities
from tokenforge.protocol.openai_request import Operation, parse_request, refuse_unable

PAGE = (Path(__file__).parents[2] / "docs/reference/openai-api.md").read_text()
ASKED = {
    "seed": b'"seed": 1',
    "logprobs": b'"logprobs": true',
    "top_k": b'"top_k": 5',
    "stop": b'"stop": ["a"]',
    "ignore_eos": b'"ignore_eos": true',
    "min_tokens": b'"min_tokens": 2',
    "response_format": b'"response_format": {"type": "json_object"}',
    "n": b'"n": 2',
    "tools": b'"tools": [{"type": "function"}]',
    "logit_bias": b'"logit_bias": {"5": 1}',
}
SIM = Capabilities(seed=True, min_tokens=True, ignore_eos=True)


@pytest.mark.parametrize("field", ASKED)
def test_the_page_tells_what_the_simulator_takes(field: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{field}`" in line.split("|")[1]]
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, ' + ASKED[field] + b"}"
    named: list[str] = []
    try:
        refuse_unable(parse_request(body, Operation.CHAT), SIM, runtime="sim")
    except InvalidInput as refused:
        named = [re.split(r"[.\[]", fault.field)[0] for fault in refused.faults]
    assert named in ([], [field])
    assert row.split("|")[4].strip() == ("-" if named else "yes")
