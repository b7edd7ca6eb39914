"""From a request to prompt ids: the chat template, the tokenizer, the window. Long work happens off the event loop."""

import asyncio
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tokenforge.domain.errors import InvalidRequest
from tokenforge.models.tokenizers import ModelTokenizer
from tokenforge.protocol.openai_messages import Message
from tokenforge.protocol.openai_request import OpenAIRequest

LONG_TEXT_CHARS = 4_096
"""Up to here the tokenizer is faster than a hop to a thread and back."""

_DEFAULT_STYLE = "Fetch the model's chat_template.jinja, or use /v1/completions"


async def encode_prompt(request: OpenAIRequest, tokenizer: ModelTokenizer) -> tuple[int, ...]:
    """The ids of the prompt. Raises InvalidRequest for a chat that the model's template refuses."""
    if isinstance(request.prompt, tuple):
        return request.prompt
    text = request.prompt if request.prompt is not None else render_chat(request.messages, tokenizer)
    if len(text) <= LONG_TEXT_CHARS:
        return tuple(tokenizer.encode(text))
    return tuple(await asyncio.to_thread(tokenizer.encode, text))


def room_for(request: OpenAIRequest, *, prompt_tokens: int, max_model_len: int) -> int:
    """Tokens that the window leaves to the answer. Raises InvalidRequest when prompt and answer do not fit."""
    room = max_model_len - prompt_tokens
    field = "prompt" if request.prompt is not None else "messages"
    if prompt_tokens == 0:
        raise InvalidRequest("the prompt is empty: it has 0 tokens", field=field, hint="Send at least one token")
    if room < 1:
        hint = f"Shorten the prompt to {max_model_len - 1} tokens or fewer"
        raise InvalidRequest(
            f"the prompt has {prompt_tokens} tokens, the window {max_model_len}", field=field, hint=hint
        )
    asked = request.sampling.max_tokens
    if not request.is_open_ended and asked > room:
        message = (
            f"max_tokens = {asked}: with {prompt_tokens} prompt tokens the window of {max_model_len} leaves {room}"
        )
        raise InvalidRequest(message, field="max_tokens", hint=f"Ask for {room} tokens or fewer")
    return room


def render_chat(messages: tuple[Message, ...], tokenizer: ModelTokenizer) -> str:
    """The messages through the model's own template, in a sandbox: a template is code that came with a download."""
    if tokenizer.chat_template is None:
        raise InvalidRequest("this model has no chat template", field="messages", hint=_DEFAULT_STYLE)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    values = [message.as_template_value() for message in messages]
    specials = {"bos_token": "", "eos_token": "", "tools": None}
    try:
        template = environment.from_string(tokenizer.chat_template)
        return template.render(messages=values, add_generation_prompt=True, **specials)
    except (TemplateError, TypeError, KeyError, ValueError) as error:
        message = f"the model's chat template refused the messages: {error}"
        raise InvalidRequest(
            message, field="messages", hint="Send the roles in the order that the model expects"
        ) from error


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
