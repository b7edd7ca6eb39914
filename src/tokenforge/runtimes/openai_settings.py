"""How to reach a server that is not ours, and in which ways it differs from the API it claims."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tokenforge.domain.errors import Fault, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISettings:
    """Engine arguments of the `openai` runtime.

    Either `base_url` of a server that runs, or `command` (words; `{port}` is replaced by a free port) that is started,
    watched and stopped here. `model` is its name there, when it lists several. `prompt_form` is `text`, or `token_ids`
    where the server takes them. `return_token_ids` asks for ids in the stream (vLLM and our workers give them);
    `ignore_eos` says that the server understands it. `start_limit_s` bounds the start of a command.
    """

    base_url: str | None = None
    command: tuple[str, ...] = ()
    api_key: str | None = None
    model: str | None = None
    prompt_form: str = "text"
    return_token_ids: bool = False
    ignore_eos: bool = False
    start_limit_s: float = 300.0


_KINDS: dict[str, tuple[type, ...]] = {
    "base_url": (str,), "api_key": (str,), "model": (str,), "prompt_form": (str,),
    "return_token_ids": (bool,), "ignore_eos": (bool,), "start_limit_s": (int, float),
}  # fmt: skip


def read_openai_settings(args: Mapping[str, object]) -> OpenAISettings:
    """Engine arguments to settings. Raises InvalidInput with every fault; a key's value is never repeated."""
    faults = [fault for name, value in args.items() if (fault := _fault(name, value)) is not None]
    if not faults and bool(args.get("base_url")) == bool(args.get("command")):
        hint = "give base_url: http://HOST:PORT, or command: [program, --port, '{port}']"
        faults.append(Fault(field="engine_args.openai", value=sorted(args), message="needs one of the two", hint=hint))
    if faults:
        raise InvalidInput(faults, source="engine_args")
    command = args.get("command", ())
    assert isinstance(command, list | tuple)
    values = {name: value for name, value in args.items() if name != "command"}
    return OpenAISettings(command=tuple(command), **values)  # type: ignore[arg-type]


def _fault(name: str, value: object) -> Fault | None:
    place = f"engine_args.openai.{name}"
    shown = "(hidden)" if name == "api_key" else value
    known = [field.name for field in fields(OpenAISettings)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        return Fault(field=place, value=shown, message="is unknown", hint=hint)
    if name == "command":
        words = isinstance(value, list | tuple) and value and all(isinstance(word, str) for word in value)
        return None if words else Fault(field=place, value=value, message="must be a list of words")
    kinds = _KINDS[name]
    if not isinstance(value, kinds) or (bool not in kinds and isinstance(value, bool)):
        return Fault(field=place, value=shown, message=f"must be of type {kinds[-1].__name__}")
    if name == "prompt_form" and value not in {"text", "token_ids"}:
        return Fault(field=place, value=value, message="is unknown", hint="write text or token_ids")
    return None
