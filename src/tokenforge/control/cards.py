"""Which GPUs of this machine a new replica gets: pure, from the cards there are and the replicas that hold some.

A replica holds whole cards, so that its engine may fill them; or a share of the memory of one, where its engine
arguments say how much it takes. What others have in a card's memory counts too, as far as it is known.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tokenforge.domain.errors import NotEnoughGpus

CARDS_LABEL = "gpus"
SHARE_LABEL = "gpu_memory_share"

ENGINE_SHARE = 0.9
"""How much of a card's memory an engine fills unless told otherwise: the default of vLLM, and of our paged steps."""

_ROUNDING = 1e-6
_STARTING = "one that starts now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One GPU, or one MIG instance. `id` is its UUID, `number` the driver's number of the GPU (in order of PCI bus).

    `used_share` is how much of its memory is in use by anybody, 0 to 1; None where the driver does not tell.
    """

    id: str
    number: int
    name: str = ""
    is_mig: bool = False
    used_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsAsked:
    """What one replica needs: `count` cards with this `share` of their memory free; `is_whole`: nobody else's.

    `kind` is a part of the card's name, None for any.
    """

    count: int = 1
    share: float = ENGINE_SHARE
    is_whole: bool = True
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The cards of one worker until it is gone; `share` of their memory, None for whole ones.

    `is_filled`: it has come up, so the memory that it takes is in use; until then what is in use is that of others.
    """

    worker: str
    cards: tuple[str, ...]
    share: float | None = None
    is_filled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """The cards of this machine as one deployment sees them: what each replica asks, and who holds what."""

    asked: CardsAsked
    cards: tuple[Card, ...]
    holds: tuple[Hold, ...] = ()

    def choose(self) -> tuple[Card, ...] | None:
        """The cards of one more replica, None when there are too few.

        A share goes where most is shared already, so that whole cards stay free; else the lowest numbers go first.
        """
        fitting = [card for card in self.cards if self._is_fit(card) and self._has_room(card)]
        if not self.asked.is_whole:
            fitting.sort(key=lambda card: -self._shared(card))
        return tuple(fitting[: self.asked.count]) if len(fitting) >= self.asked.count else None

    def room(self, most: int) -> int:
        """For how many more replicas, up to `most`, there are cards."""
        view = self
        for number in range(most):
            chosen = view.choose()
            if chosen is None:
                return number
            view = view.holding(held(_STARTING, self.asked, chosen))
        return most

    def after(self, count: int) -> "CardView":
        """The same once so many more replicas, for which there is room, have their cards."""
        view = self
        for _ in range(count):
            view = view.holding(held(_STARTING, self.asked, view.choose() or ()))
        return view

    def holding(self, hold: Hold) -> "CardView":
        """The same once this worker has its cards."""
        return replace(self, holds=(*self.holds, hold))

    def without(self, workers: Collection[str]) -> "CardView":
        """The same once these workers are gone, and with them what they have in memory."""
        left = {card for hold in self.holds if hold.worker in workers for card in hold.cards}
        return replace(
            self,
            holds=tuple(hold for hold in self.holds if hold.worker not in workers),
            cards=tuple(replace(card, used_share=None) if card.id in left else card for card in self.cards),
        )

    def shortage(self) -> NotEnoughGpus:
        """Why a replica gets none: what it asks, what is there, who holds it."""
        kind = f" {self.asked.kind}" if self.asked.kind else ""
        count = self.asked.count
        part = "" if self.asked.is_whole else f"{self.asked.share:.0%} of the memory of "
        asked = f"a replica asks {part}{count}{kind} GPU{'s' * (count != 1)}"
        fit = [card for card in self.cards if self._is_fit(card)]
        free = sum(self._has_room(card) for card in fit)
        if len(fit) < count:
            there = ", ".join(f"{card.number} ({card.name or card.id})" for card in self.cards) or "none"
            hint = "Ask for what is there, or set CUDA_VISIBLE_DEVICES of the server so that it sees more"
            return NotEnoughGpus(f"{asked}, this machine has {len(fit)} such; its GPUs: {there}", hint=hint)
        taken = "; ".join(f"{_place(card)} {self._holder(card)}" for card in fit if not self._has_room(card))
        hint = "It starts once they are free: delete a deployment or lower its replicas"
        if any(not self._on(card) and not self._has_room(card) for card in fit):
            hint += f"; or have the engine fill less than {self.asked.share:.0%} of a GPU, by its own argument"
        there = f"{free} of {len(fit)} here {'is' if free == 1 else 'are'} free"
        return NotEnoughGpus(f"{asked}, {there}: {taken}", hint=hint)

    def _is_fit(self, card: Card) -> bool:
        """Whether it can ever be one of them. An engine spans GPUs, never MIG instances."""
        is_kind = self.asked.kind is None or self.asked.kind.lower() in card.name.lower()
        return is_kind and not (card.is_mig and self.asked.count > 1)

    def _has_room(self, card: Card) -> bool:
        on_it = self._on(card)
        if on_it and (self.asked.is_whole or any(hold.share is None for hold in on_it)):
            return False
        return self._shared(card) + self._foreign(card) + self.asked.share <= 1 + _ROUNDING

    def _on(self, card: Card) -> list[Hold]:
        return [hold for hold in self.holds if card.id in hold.cards]

    def _shared(self, card: Card) -> float:
        """How much of its memory replicas of ours may take."""
        return sum(hold.share or 1.0 for hold in self._on(card))

    def _foreign(self, card: Card) -> float:
        """How much of its memory is in use beyond that."""
        filled = sum(hold.share or 1.0 for hold in self._on(card) if hold.is_filled)
        return max(0.0, (card.used_share or 0.0) - filled)

    def _holder(self, card: Card) -> str:
        on_it = self._on(card)
        names = " and ".join(
            hold.worker if hold.share is None else f"{hold.worker} ({hold.share:.0%})" for hold in on_it
        )
        foreign = self._foreign(card)
        if names:
            return f"is held by {names}"
        return f"has {foreign:.0%} of its memory in use by processes that are not of this server"


def held(worker: str, asked: CardsAsked, cards: Sequence[Card]) -> Hold:
    """What a worker with these cards holds."""
    return Hold(worker=worker, cards=tuple(card.id for card in cards), share=None if asked.is_whole else asked.share)


def labels_of(hold: Hold) -> dict[str, str]:
    """The hold as labels of its worker, which outlive whoever launched it."""
    share = {} if hold.share is None else {SHARE_LABEL: str(hold.share)}
    return {CARDS_LABEL: ",".join(hold.cards), **share}


def hold_of(worker: str, labels: Mapping[str, str], *, is_filled: bool = False) -> Hold | None:
    """The hold that labels tell of, None where they tell of none. A share that is no number counts as the whole."""
    cards = tuple(card for card in labels.get(CARDS_LABEL, "").split(",") if card)
    if not cards:
        return None
    try:
        share = float(labels[SHARE_LABEL])
    except (KeyError, ValueError):
        return Hold(worker=worker, cards=cards, is_filled=is_filled)
    return Hold(worker=worker, cards=cards, share=share if 0 < share <= 1 else None, is_filled=is_filled)


def _place(card: Card) -> str:
    return f"{card.id if card.is_mig else card.number}"
