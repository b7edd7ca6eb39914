"""What a check found."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`text` says it in a line, `figures` are the raw numbers."""

    holds: bool
    text: str
    figures: Mapping[str, object] = field(default_factory=dict)
