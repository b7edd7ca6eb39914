"""Alerts and recording rules as data; an alert also has what its runbook says and an example that makes it fire."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.telemetry.boards.model import Needs


class Severity(enum.StrEnum):
    """How soon somebody has to look."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A query that is computed beforehand, under the name `record`."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Input series (by promtool's notation) and the labels of the alert that they make."""

    series: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`expr` compared by `test` (such as `> 0.05`) for `lasts`. The query alone has data while all is well.

    `summary` may name labels as `{{ $labels.NAME }}`. `means`, `look` and `act` are the runbook's three parts. `fires`
    is an example for a promtool test; with `calm` it must stay silent.
    """

    name: str
    expr: str
    test: str
    lasts: str
    severity: Severity
    summary: str
    means: str
    look: tuple[str, ...]
    act: tuple[str, ...]
    fires: Example
    calm: Mapping[str, str]
    needs: Needs = Needs.NOTHING

    @property
    def condition(self) -> str:
        """The whole expression."""
        return f"({self.expr}) {self.test}"

    @property
    def page(self) -> str:
        """Its runbook's file."""
        return f"{self.name}.md"
