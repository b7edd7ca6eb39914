"""Dashboards as data: what a panel shows, in which unit, and what has to be there for it to have data."""

import enum
from dataclasses import dataclass

TOKENS = "suffix: tokens"
TOKENS_PER_S = "suffix: tokens/s"
CORES = "suffix: cores"


class Needs(enum.StrEnum):
    """What a query has no data without."""

    NOTHING = ""
    GPU = "gpu"
    VLLM = "vllm"


class Look(enum.StrEnum):
    """How a panel is drawn: Grafana's name of it."""

    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query; `legend` in Grafana's form (`{{label}}`)."""

    expr: str
    legend: str
    needs: Needs = Needs.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `text` says how to read it. `unit` is Grafana's; `width` of 24; `stacked` adds the lines up.

    `steps` are thresholds, ascending: from a value on, the colour is another than `base`. They are the alerts' where
    there is one. Without any, no value is called bad.
    """

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: str = "short"
    look: Look = Look.LINES
    width: int = 8
    stacked: bool = False
    log: bool = False
    base: str = "green"
    steps: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice above the panels: the values of `label` in `query`'s series, or a text with a default."""

    name: str
    label: str
    query: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard. `uid` is in its address and never changes. `trials`: mark where a benchmark's trials begin."""

    uid: str
    title: str
    text: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    trials: bool = True

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels."""
        return tuple(panel for row in self.rows for panel in row.panels)
