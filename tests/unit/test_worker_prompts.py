"""From a request to prompt ids."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from tokenforge.domain.errors import InvalidRequest
from tokenforge.models.tokenizers import ModelTokenizer
from tokenforge.protocol.openai_request import OpenAIRequest, Operation, parse_request
from tokenforge.worker.prompts import LONG_TEXT_CHARS, Prompts, read_specials, room_for

TEMPLATE = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}{% if add_generation_prompt %}b{% endif %}"


def prompts_of(template: str | None = TEMPLATE, *, specials: Mapping[str, str] | None = None) -> Prompts:
    raw = Tokenizer(WordLevel({"a": 0, "b": 1, "user": 2, "?": 3}, unk_token="?"))
    raw.pre_tokenizer = WhitespaceSplit()
    tokenizer = ModelTokenizer(raw=raw, special_ids=frozenset(), eos_ids=frozenset(), chat_template=template)
    return Prompts(tokenizer, specials or {})


def completion(prompt: object = "a b", **fields: object) -> OpenAIRequest:
    body = {"model": "m", "prompt": prompt, **fields}
    return parse_request(json.dumps(body).encode(), Operation.COMPLETIONS)


def chat(content: str = "a") -> OpenAIRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    return parse_request(json.dumps(body).encode(), Operation.CHAT)


async def test_text_becomes_ids() -> None:
    assert await prompts_of().encode(completion()) == (0, 1)


async def test_ids_stay_as_they_are() -> None:
    assert await prompts_of().encode(completion([7, 8])) == (7, 8)


async def test_long_text_becomes_the_same_ids_off_the_loop() -> None:
    text = "a b " * LONG_TEXT_CHARS
    assert await prompts_of().encode(completion(text)) == (0, 1) * LONG_TEXT_CHARS


async def test_a_chat_goes_through_the_template() -> None:
    assert await prompts_of().encode(chat()) == (2, 0, 1)


def test_a_model_without_a_template_says_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match="/v1/completions"):
        prompts_of(None).render(chat().messages)


def test_what_a_template_refuses_is_told() -> None:
    with pytest.raises(InvalidRequest, match="roles must alternate"):
        prompts_of("{{ raise_exception('roles must alternate') }}").render(chat().messages)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ no_such_thing.x }}",
        "{% if %}",
        "{{ range(10**9) }}",
    ],
)
def test_a_template_that_leaves_the_sandbox_is_refused(template: str) -> None:
    with pytest.raises(InvalidRequest, match="template"):
        prompts_of(template).render(chat().messages)


def test_the_room_is_what_the_window_leaves() -> None:
    assert room_for(completion(), prompt_tokens=6, max_model_len=10) == 4


@pytest.mark.parametrize("prompt_tokens", [0, 10, 11])
def test_a_prompt_that_leaves_no_room_is_refused(prompt_tokens: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        room_for(completion(), prompt_tokens=prompt_tokens, max_model_len=10)
    assert caught.value.field == "prompt"


def test_an_answer_that_fits_exactly_passes() -> None:
    assert room_for(completion(max_tokens=4), prompt_tokens=6, max_model_len=10) == 4


def test_an_answer_one_token_too_long_is_refused_with_what_is_left() -> None:
    with pytest.raises(InvalidRequest, match="4 tokens or fewer") as caught:
        room_for(completion(max_tokens=5), prompt_tokens=6, max_model_len=10)
    assert caught.value.field == "max_tokens"


async def test_plain_text_gets_the_tokens_that_the_tokenizer_puts_around_it() -> None:
    prompts = prompts_of("a")
    prompts.tokenizer.raw.post_processor = TemplateProcessing(single="? $A", special_tokens=[("?", 3)])
    assert await prompts.encode(completion("a b")) == (3, 0, 1)
    assert await prompts.encode(chat()) == (0,)


def test_a_template_knows_the_special_tokens() -> None:
    prompts = prompts_of("{{ bos_token }}x{{ eos_token }}", specials={"bos_token": "<s>"})
    assert prompts.render(chat().messages) == "<s>x"


def test_special_tokens_are_read_in_both_spellings(tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert read_specials(tmp_path) == {"bos_token": "<s>", "eos_token": "</s>"}


TOOL = {"type": "function", "function": {"name": "a", "description": "<b> & é"}}


def calling() -> OpenAIRequest:
    body = {
        "model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [TOOL], "tool_choice": "required",
    }  # fmt: skip
    return parse_request(json.dumps(body).encode(), Operation.CHAT)


def test_tools_are_shown_by_the_models_own_template_as_json() -> None:
    request = calling()
    assert request.call is not None
    shown = prompts_of("{{ tools | tojson }}").render(request.messages, request.call.shown)
    assert json.loads(shown) == [TOOL]
    assert "<b> & é" in shown


async def test_a_template_without_tools_refuses_them_by_name() -> None:
    with pytest.raises(InvalidRequest, match="shows no tools") as caught:
        await prompts_of().encode(calling())
    assert caught.value.field == "tools"


def test_a_template_without_calls_refuses_a_turn_that_has_one() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = {"model": "m", "messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}
    messages = parse_request(json.dumps(body).encode(), Operation.CHAT).messages
    with pytest.raises(InvalidRequest, match="shows no tool_calls"):
        prompts_of().render(messages)
    assert prompts_of("{{ messages[0].tool_calls[0].function.name }}").render(messages) == "f"
