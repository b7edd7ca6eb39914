"""The GPU dashboard. Several workers on one card tell the same card, so cards are taken once: the most any tells."""

from tokenforge.telemetry.boards.model import Board, Needs, Panel, Query, Row
from tokenforge.telemetry.boards.promql import OF_DEPLOYMENT, WINDOW, rate, select
from tokenforge.telemetry.boards.serving import DEPLOYMENT
from tokenforge.telemetry.catalogue import accelerator, serving
from tokenforge.telemetry.catalogue.definition import Metric

_USED, _TOTAL = 'kind="used"', 'kind="total"'


def _cards(metric: Metric, *, where: str = "", by: str = "deployment, device") -> str:
    whole = f"{OF_DEPLOYMENT},{where}" if where else OF_DEPLOYMENT
    return f"max by ({by}) ({select(metric, whole)})"


def _query(expr: str, legend: str = "{{deployment}} {{device}}") -> tuple[Query, ...]:
    return (Query(expr=expr, legend=legend, needs=Needs.GPU),)


_JOULES = (
    f"sum by (deployment) (max by (deployment, device) (rate({select(accelerator.ENERGY, OF_DEPLOYMENT)}[{WINDOW}])))"
)

_USE = Row(
    title="Use",
    panels=(
        Panel(
            title="Memory in use",
            text="By card.",
            unit="bytes",
            queries=_query(_cards(accelerator.MEMORY, where=_USED)),
        ),
        Panel(
            title="Memory, share",
            text="Of what the card has.",
            unit="percentunit",
            queries=_query(f"{_cards(accelerator.MEMORY, where=_USED)} / {_cards(accelerator.MEMORY, where=_TOTAL)}"),
        ),
        Panel(
            title="Utilisation",
            text="Share of time in which something ran; it says nothing about how much of the card.",
            unit="percentunit",
            queries=_query(_cards(accelerator.UTILIZATION)),
        ),
    ),
)

_ENERGY = Row(
    title="Power and energy",
    panels=(
        Panel(title="Power", text="By card.", unit="watt", queries=_query(_cards(accelerator.POWER))),
        Panel(
            title="Joules for an output token",
            text="By the cards' energy counters and the tokens generated.",
            unit="joule",
            queries=_query(
                f"{_JOULES} / {rate(serving.GENERATION_TOKENS, by=('deployment',), where=OF_DEPLOYMENT)}",
                "{{deployment}}",
            ),
        ),
        Panel(
            title="Temperature",
            text="By card.",
            unit="celsius",
            steps=((80.0, "orange"), (87.0, "red")),
            queries=_query(_cards(accelerator.TEMPERATURE)),
        ),
    ),
)

_CLOCKS = Row(
    title="Clocks",
    panels=(
        Panel(
            title="Clocks",
            text="Arithmetic and memory.",
            unit="hertz",
            width=12,
            queries=_query(_cards(accelerator.CLOCK, by="deployment, device, kind"), "{{device}} {{kind}}"),
        ),
        Panel(
            title="Below its clocks",
            text="1 while the reason is in force; `idle` and `sw_power_cap` are no faults.",
            width=12,
            queries=_query(_cards(accelerator.THROTTLED, by="deployment, device, reason"), "{{device}} {{reason}}"),
        ),
    ),
)

GPU = Board(
    uid="tokenforge-gpu",
    title="TokenForge / GPU",
    text="Memory, utilisation, power, joules for a token, temperature, clocks and what holds them down.",
    variables=(DEPLOYMENT,),
    rows=(_USE, _ENERGY, _CLOCKS),
)
