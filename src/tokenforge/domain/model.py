"""Model: what is served. A hub id, a local folder, or `synthetic:NAME` (random weights, a real tokenizer)."""

import enum
import re
from dataclasses import dataclass

from tokenforge.domain.errors import Fault, InvalidInput

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?$")


class ModelSource(enum.StrEnum):
    """Where a model's files come from."""

    HUB = "hub"
    FOLDER = "folder"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model as the user named it; `name` is the id without its prefix (a path for a folder)."""

    source: ModelSource
    name: str

    def __str__(self) -> str:
        return f"synthetic:{self.name}" if self.source is ModelSource.SYNTHETIC else self.name


def parse_model(text: str, *, field: str = "model") -> ModelRef:
    """Read `synthetic:NAME`, a path (it starts with `/`, `./`, `../` or `~`), or a hub id `owner/name`.

    Raises InvalidInput when the text is none of the three.
    """
    if text.startswith("synthetic:") and len(text) > len("synthetic:"):
        return ModelRef(source=ModelSource.SYNTHETIC, name=text.removeprefix("synthetic:"))
    if text.startswith(("/", "./", "../", "~")) or text in {".", ".."}:
        return ModelRef(source=ModelSource.FOLDER, name=text)
    if _HUB_ID.match(text):
        return ModelRef(source=ModelSource.HUB, name=text)
    hint = "write a hub id (owner/name), a folder (./path or /path), or synthetic:NAME"
    raise InvalidInput([Fault(field=field, value=text, message="is not a model", hint=hint)])
