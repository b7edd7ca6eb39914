"""A model's tokenizer, read from its folder: ids and text, special ids, and the ids that random prompts may use.

One light reader for every process that must count tokens without an engine. It reads `tokenizer.json` alone (the fast
format); it refuses a folder without one and says what to do, and never downloads.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tokenforge.domain.errors import NotFound

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
_BROKEN = "\ufffd"


@dataclass(frozen=True, kw_only=True)
class ModelTokenizer:
    """A loaded tokenizer. `special_ids` never stand for text; `eos_ids` end a generation.

    `chat_template` is Jinja source, None when the model has none.
    """

    raw: "Tokenizer"
    special_ids: frozenset[int]
    eos_ids: frozenset[int]
    chat_template: str | None

    @property
    def vocab_size(self) -> int:
        """Ids that this tokenizer knows; the model's own table may be larger."""
        return self.raw.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, with no special token added."""
        return list(self.raw.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of `ids`; special ids vanish unless `skip_special` is False."""
        return self.raw.decode(list(ids), skip_special_tokens=skip_special)

    @cached_property
    def plain_ids(self) -> tuple[int, ...]:
        """Ids to draw random prompts from, ascending: no specials, whole UTF-8 text, and reachable.

        Reachable means that the id's text alone encodes back to it, so a prompt sent as text stays close to its length
        in ids. A tokenizer with no such id at all gives those that decode to whole text.
        """
        added = self.raw.get_added_tokens_decoder()
        ids = sorted(i for i in self.raw.get_vocab(with_added_tokens=True).values() if i not in added)
        texts = self.raw.decode_batch([[i] for i in ids], skip_special_tokens=False)
        whole = [(i, text) for i, text in zip(ids, texts, strict=True) if text and _BROKEN not in text]
        encoded = self.raw.encode_batch([text for _, text in whole], add_special_tokens=False)
        reachable = tuple(i for (i, _), code in zip(whole, encoded, strict=True) if code.ids == [i])
        return reachable or tuple(i for i, _ in whole)


def load_tokenizer(folder: Path) -> ModelTokenizer:
    """Read the tokenizer in `folder`. Raises NotFound when `tokenizer.json` is missing or is not a tokenizer."""
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        hint = "Save the model's fast tokenizer there (AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER))"
        raise NotFound(f"{folder} has no {TOKENIZER_FILE}", hint=hint)
    raw = _read_raw(path)
    config = read_json(folder / TOKENIZER_CONFIG_FILE)
    special = frozenset(i for i, token in raw.get_added_tokens_decoder().items() if token.special)
    return ModelTokenizer(
        raw=raw,
        special_ids=special,
        eos_ids=_eos_ids(folder, raw, config),
        chat_template=_chat_template(folder, config),
    )


def read_json(path: Path) -> Mapping[str, object]:
    """A JSON object from a file, empty when there is no file. Raises NotFound when it is not one."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise NotFound(f"{path} is not JSON ({error})", hint="Fetch or write the file again") from error
    if not isinstance(value, dict):
        raise NotFound(f"{path} holds no JSON object", hint="Fetch or write the file again")
    return value


def _read_raw(path: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a file that it can't read
        raise NotFound(f"{path} is not a tokenizer: {error}", hint="Fetch or save the tokenizer again") from error


def _eos_ids(folder: Path, raw: "Tokenizer", config: Mapping[str, object]) -> frozenset[int]:
    """What ends a generation: `generation_config.json` decides, then `config.json`, then the tokenizer's eos token."""
    for name in (GENERATION_CONFIG_FILE, "config.json"):
        found = _ids(read_json(folder / name).get("eos_token_id"))
        if found:
            return found
    token = config.get("eos_token")
    content = token.get("content") if isinstance(token, Mapping) else token
    known = raw.token_to_id(content) if isinstance(content, str) else None
    return frozenset() if known is None else frozenset({known})


def _ids(value: object) -> frozenset[int]:
    values: Iterable[object] = value if isinstance(value, list) else (value,)
    return frozenset(item for item in values if isinstance(item, int))


def _chat_template(folder: Path, config: Mapping[str, object]) -> str | None:
    file = folder / CHAT_TEMPLATE_FILE
    if file.is_file():
        return file.read_text(encoding="utf-8")
    value = config.get("chat_template")
    if isinstance(value, list):  # several named templates: the one called default
        named = {item.get("name"): item.get("template") for item in value if isinstance(item, Mapping)}
        value = named.get("default")
    return value if isinstance(value, str) else None
