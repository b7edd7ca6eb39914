"""From a request to prompt ids: the chat template, the tokenizer, the window. Long work happens off the event loop."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tokenforge.domain.errors import InvalidRequest
from tokenforge.models.tokenizers import TOKENIZER_CONFIG_FILE, ModelTokenizer, read_json
from tokenforge.protocol.openai_messages import Message
from tokenforge.protocol.openai_request import OpenAIRequest

LONG_TEXT_CHARS = 4_096
"""Up to here the tokenizer is faster than a hop to a thread and back."""

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")
_TEMPLATE_FAULTS = (TemplateError, TypeError, AttributeError, LookupError, ValueError, ArithmeticError)


class Prompts:
    """Makes the ids of one model's prompts. `specials` are the tokens that chat templates name (`bos_token`, ...).

    The template runs in a sandbox: it is code that came with a download.
    """

    def __init__(self, tokenizer: ModelTokenizer, specials: Mapping[str, str]) -> None:
        self.tokenizer = tokenizer
        self._specials = {name: specials.get(name, "") for name in _SPECIAL_NAMES}
        self._template: Template | None = None

    async def encode(self, request: OpenAIRequest) -> tuple[int, ...]:
        """The ids of the prompt. Raises InvalidRequest for a chat that the model's template refuses.

        Plain text gets the special tokens that the tokenizer puts around any text; a template writes its own.
        """
        if isinstance(request.prompt, tuple):
            return request.prompt
        is_plain = request.prompt is not None
        tools = () if request.call is None else request.call.shown
        text = self.render(request.messages, tools) if request.prompt is None else request.prompt
        if len(text) <= LONG_TEXT_CHARS:
            return self._ids(text, is_plain=is_plain)
        return await asyncio.to_thread(self._ids, text, is_plain=is_plain)

    def render(self, messages: tuple[Message, ...], tools: tuple[Mapping[str, object], ...] = ()) -> str:
        """The messages through the model's own template, open for the assistant's turn."""
        values = [message.as_template_value() for message in messages]
        try:
            template = self._compiled()
            self._refuse_unshown(messages, tools)
            shown = list(tools) or None
            return template.render(messages=values, add_generation_prompt=True, tools=shown, **self._specials)
        except _TEMPLATE_FAULTS as error:
            message = f"the model's chat template refused the messages: {error}"
            hint = "Send the roles in the order that the model expects"
            raise InvalidRequest(message, field="messages", hint=hint) from error

    def _compiled(self) -> Template:
        if self._template is None:
            if self.tokenizer.chat_template is None:
                hint = "Fetch the model's chat_template.jinja, or use /v1/completions"
                raise InvalidRequest("this model has no chat template", field="messages", hint=hint)
            environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
            environment.globals["raise_exception"] = _refuse
            environment.filters["tojson"] = _json
            self._template = environment.from_string(self.tokenizer.chat_template)
        return self._template

    def _refuse_unshown(self, messages: tuple[Message, ...], tools: tuple[Mapping[str, object], ...]) -> None:
        """What a template does not know it would leave out without a word."""
        source = self.tokenizer.chat_template or ""
        if tools and "tools" not in source:
            hint = "Use a model whose chat template has tools, or say in a message what can be called"
            raise InvalidRequest("the model's chat template shows no tools", field="tools", hint=hint)
        if any(message.calls for message in messages) and "tool_calls" not in source:
            hint = "Use a model whose chat template has tools, or send calls as text"
            raise InvalidRequest("the model's chat template shows no tool_calls", field="messages", hint=hint)

    def _ids(self, text: str, *, is_plain: bool) -> tuple[int, ...]:
        return tuple(self.tokenizer.raw.encode(text, add_special_tokens=is_plain).ids)


def read_specials(folder: Path) -> Mapping[str, str]:
    """The special tokens that the tokenizer's configuration names, as text."""
    config = read_json(folder / TOKENIZER_CONFIG_FILE)
    found: dict[str, str] = {}
    for name in _SPECIAL_NAMES:
        value = config.get(name)
        content = value.get("content") if isinstance(value, Mapping) else value
        if isinstance(content, str):
            found[name] = content
    return found


def room_for(request: OpenAIRequest, *, prompt_tokens: int, max_model_len: int) -> int:
    """Tokens that the window leaves to the answer. Raises InvalidRequest when prompt and answer do not fit."""
    room = max_model_len - prompt_tokens
    field = "prompt" if request.prompt is not None else "messages"
    if prompt_tokens == 0:
        raise InvalidRequest("the prompt is empty: it has 0 tokens", field=field, hint="Send at least one token")
    if room < 1:
        message = f"the prompt has {prompt_tokens} tokens, the window {max_model_len}"
        raise InvalidRequest(message, field=field, hint=f"Shorten the prompt to {max_model_len - 1} tokens or fewer")
    asked = request.sampling.max_tokens
    if not request.is_open_ended and asked > room:
        message = (
            f"max_tokens = {asked}: with {prompt_tokens} prompt tokens the window of {max_model_len} leaves {room}"
        )
        raise InvalidRequest(message, field="max_tokens", hint=f"Ask for {room} tokens or fewer")
    return room


def _json(value: object, indent: int | None = None) -> str:
    """As templates of models expect it: Jinja's own would escape `<` and `&` for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
