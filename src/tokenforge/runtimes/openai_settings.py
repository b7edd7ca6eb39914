"""How to reach a server that is not ours, and in which ways it differs from the API it claims."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from tokenforge.domain.errors import Fault, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISettings:
    """Engine arguments of the `openai` runtime.

    Either `base_url` of a server that runs, or `command` (words; `{port}` and `{model}` are filled in) that is started,
    watched and stopped here; `start_limit_s` bounds its start. `model` is the model's name there.

    The rest are quirks, each off by its default: `prompt_form` is `text`, or `token_ids` where the server takes them;
    `return_token_ids` asks for ids in the stream (vLLM and our workers give them); `ignore_eos` says that the server
    knows `ignore_eos` and `min_tokens`; `usage_in_stream` false, that it refuses `stream_options` (tokens are then
    counted with the model's tokenizer); `stop` or `seed` false, that it ignores them; `model_listed` false, that it
    serves a model that it does not list (`transformers serve`).
    """

    base_url: str | None = None
    command: tuple[str, ...] = ()
    start_limit_s: float = 300.0
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    prompt_form: str = "text"
    return_token_ids: bool = False
    ignore_eos: bool = False
    usage_in_stream: bool = True
    stop: bool = True
    seed: bool = True
    model_listed: bool = True


_TEXT = {"base_url", "api_key", "model", "prompt_form"}
_NUMBERS = {"start_limit_s"}
_NAMES = tuple(f.name for f in fields(OpenAISettings))


def read_openai_settings(args: Mapping[str, object]) -> OpenAISettings:
    """Engine arguments to settings. Raises InvalidInput with every fault; a key's value is never repeated."""
    faults = [found for name, value in args.items() if (found := _fault(name, value)) is not None]
    if not faults and ("base_url" in args) == ("command" in args):
        hint = "give base_url: http://HOST:PORT, or command: [program, --port, '{port}']"
        faults.append(Fault(field="engine_args.openai", value=sorted(args), message="needs one of the two", hint=hint))
    if faults:
        raise InvalidInput(faults, source="engine_args")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in args.items()}
    return OpenAISettings(**values)  # type: ignore[arg-type]


def _fault(name: str, value: object) -> Fault | None:
    place = f"engine_args.openai.{name}"
    if name not in _NAMES:
        near = difflib.get_close_matches(name, _NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(_NAMES)}"
        return Fault(field=place, value=value, message="is unknown", hint=hint)
    wrong = _wrong_type(name, value)
    if wrong is not None:
        return Fault(field=place, value=value, message=wrong)
    if name == "prompt_form" and value not in {"text", "token_ids"}:
        return Fault(field=place, value=value, message="is unknown", hint="write text or token_ids")
    if name == "base_url" and not str(value).startswith(("http://", "https://")):
        return Fault(field=place, value=value, message="is not an HTTP address", hint="write http://HOST:PORT")
    return None


def _wrong_type(name: str, value: object) -> str | None:
    if name == "command":
        is_words = isinstance(value, list | tuple) and value and all(isinstance(word, str) for word in value)
        return None if is_words else "must be a list of words"
    if name in _TEXT:
        return None if isinstance(value, str) and value else "must be text"
    if name in _NUMBERS:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        return None if is_number else "must be a number above 0"
    return None if isinstance(value, bool) else "must be true or false"
