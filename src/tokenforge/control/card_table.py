"""The GPUs of this machine during one turn of control: read once, and held by workers old and new.

What a worker holds is in its labels, so a control that starts anew knows it by looking.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tokenforge.cluster.base import Launch, Sighting
from tokenforge.control.cards import Card, CardsAsked, CardView, Hold, held, hold_of
from tokenforge.control.decision import DEPLOYMENT_LABEL
from tokenforge.domain.deployment import DeploymentId
from tokenforge.telemetry.gpus import Gpu

ReadCards = Callable[[], Sequence[Card]]


@dataclass(slots=True)
class CardTable:
    """`read` tells of the cards, None where none are given out; asked once, and only when somebody wants one."""

    read: ReadCards | None
    sightings: Sequence[Sighting]
    _cards: tuple[Card, ...] | None = None
    _new: list[Hold] = field(default_factory=list)

    def view(self, deployment: DeploymentId, asked: CardsAsked | None) -> CardView | None:
        """What there is for a deployment, None where it asks for none.

        Its dead leave their cards to it, and to it alone until they are forgotten.
        """
        if self.read is None or asked is None:
            return None
        if self._cards is None:
            self._cards = tuple(self.read())
        kept = [hold for one in self.sightings if (hold := _hold(one)) is not None]
        dead = {
            one.name for one in self.sightings
            if not one.is_alive and one.labels.get(DEPLOYMENT_LABEL) == deployment
        }  # fmt: skip
        view = CardView(asked=asked, cards=self._cards, holds=tuple(kept)).without(dead)
        for hold in self._new:
            view = view.holding(hold)
        return view

    def give(self, worker: str, view: CardView) -> "Given | None":
        """Cards for a new worker, or None when there are too few now."""
        chosen = view.choose()
        if chosen is None:
            return None
        hold = held(worker, view.asked, chosen)
        self._new.append(hold)
        return Given(hold=hold, environment=environment_of(chosen, beside=view.cards))


def _hold(worker: Sighting) -> Hold | None:
    return hold_of(worker.name, worker.labels, is_filled=worker.info is not None)


@dataclass(frozen=True, slots=True)
class Given:
    """What a new worker holds, and how its process is told."""

    hold: Hold
    environment: Mapping[str, str]


def with_cards(launch: Launch, given: Given) -> Launch:
    """The launch of a worker that sees these cards alone, and reads the state of these alone."""
    observing = replace(launch.spec.observing, visible_gpus=",".join(given.hold.cards))
    return replace(
        launch,
        spec=replace(launch.spec, observing=observing),
        process_env={**launch.process_env, **given.environment},
    )


def environment_of(cards: Sequence[Card], *, beside: Sequence[Card] = ()) -> dict[str, str]:
    """CUDA's own words for these cards: the driver's numbers, in its order; UUIDs where there are MIG instances.

    Not UUIDs throughout: vLLM before 0.32 takes each word of `CUDA_VISIBLE_DEVICES` for a number and ends at a UUID
    (github.com/vllm-project/vllm, issue 13815, pull request 46132).
    """
    by_uuid = any(card.is_mig for card in (*cards, *beside))
    words = ",".join(card.id if by_uuid else str(card.number) for card in cards)
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": words}


def look_at(gpus: Sequence[Gpu]) -> tuple[Card, ...]:
    """The driver's cards as they are now."""
    return tuple(_card(gpu) for gpu in gpus)


def _card(gpu: Gpu) -> Card:
    memory = gpu.memory_bytes()
    used = memory[0] / memory[1] if memory is not None and memory[1] > 0 else None
    return Card(id=gpu.uuid, number=gpu.index, name=gpu.name(), is_mig=gpu.is_mig, used_share=used)
