"""Which GPUs a replica gets: laws that hold for any cards and any holders, and what a shortage says."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.control.card_table import environment_of
from tokenforge.control.cards import Card, CardsAsked, CardView, Hold, held, hold_of, labels_of
from tokenforge.control.conditions import preparation_trouble
from tokenforge.control.prepare import cards_asked
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.errors import NotEnoughGpus
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import Accelerator, parse_runtime
from tokenforge.runtimes.registry import find_plug

SHARES = st.sampled_from([0.1, 0.25, 0.4, 0.5, 0.9, 1.0])
ASKED = st.builds(CardsAsked, count=st.integers(1, 4), share=SHARES, is_whole=st.just(True)) | st.builds(
    CardsAsked, count=st.just(1), share=SHARES, is_whole=st.just(False)
)


@st.composite
def boards(draw: st.DrawFn) -> tuple[Card, ...]:
    """Up to eight cards, some MIG instances, some filled by strangers."""
    used = st.none() | st.floats(0, 1)
    return tuple(
        Card(id=f"GPU-{number}", number=number, is_mig=draw(st.booleans()), used_share=draw(used))
        for number in range(draw(st.integers(0, 8)))
    )


def filled(cards: tuple[Card, ...], asks: list[CardsAsked]) -> list[tuple[CardsAsked, CardView]]:
    """Replica after replica is given cards; what each asked, and what was there before."""
    holds: tuple[Hold, ...] = ()
    steps = []
    for number, asked in enumerate(asks):
        view = CardView(asked=asked, cards=cards, holds=holds)
        steps.append((asked, view))
        if (chosen := view.choose()) is not None:
            holds = (*holds, held(f"w{number}", asked, chosen))
    return steps


@given(boards(), st.lists(ASKED, max_size=12))
def test_no_card_is_held_beyond_its_memory_and_whole_cards_by_one_alone(
    cards: tuple[Card, ...], asks: list[CardsAsked]
) -> None:
    holds = [hold for _, view in filled(cards, asks)[-1:] for hold in view.holds]
    for card in cards:
        on_it = [hold for hold in holds if card.id in hold.cards]
        assert len(on_it) <= 1 or all(hold.share is not None for hold in on_it)
        assert sum(hold.share or 1.0 for hold in on_it) <= 1 + 1e-6


@given(boards(), st.lists(ASKED, max_size=12))
def test_who_is_given_cards_gets_as_many_as_it_asked_and_none_twice(
    cards: tuple[Card, ...], asks: list[CardsAsked]
) -> None:
    for asked, view in filled(cards, asks):
        chosen = view.choose()
        if chosen is not None:
            assert len({card.id for card in chosen}) == asked.count
            assert set(chosen) <= set(cards)
            assert asked.count == 1 or not any(card.is_mig for card in chosen)


@given(boards(), st.lists(ASKED, max_size=8), ASKED)
def test_the_room_is_as_many_as_can_be_given_one_after_another(
    cards: tuple[Card, ...], asks: list[CardsAsked], asked: CardsAsked
) -> None:
    holds = tuple(hold for _, view in filled(cards, asks)[-1:] for hold in view.holds)
    view = CardView(asked=asked, cards=cards, holds=holds)
    room = view.room(99)
    for number in range(room):
        chosen = view.choose()
        assert chosen is not None
        view = view.holding(held(f"n{number}", asked, chosen))
    assert view.choose() is None


@given(boards(), st.lists(ASKED, min_size=1, max_size=8))
def test_what_is_left_can_be_given_again(cards: tuple[Card, ...], asks: list[CardsAsked]) -> None:
    for number, (_, view) in enumerate(filled(cards, asks)):
        chosen = view.choose()
        if chosen is not None:
            name = f"w{number}"
            after = view.holding(held(name, view.asked, chosen)).without({name})
            assert after.choose() is not None


@given(boards(), ASKED)
def test_a_hold_is_the_same_when_it_is_read_from_labels(cards: tuple[Card, ...], asked: CardsAsked) -> None:
    chosen = CardView(asked=asked, cards=cards).choose()
    if chosen is not None:
        hold = held("w", asked, chosen)
        assert hold_of("w", labels_of(hold)) == hold


def test_labels_without_cards_hold_nothing_and_a_broken_share_holds_all() -> None:
    assert hold_of("w", {"deployment": "d"}) is None
    assert hold_of("w", {"gpus": "a", "gpu_memory_share": "much"}) == Hold(worker="w", cards=("a",))


CARDS = tuple(Card(id=f"GPU-{n}", number=n, name="NVIDIA H100 80GB HBM3", used_share=0.01) for n in range(2))


def test_shares_of_one_card_are_packed_so_that_whole_cards_stay_free() -> None:
    view = CardView(
        asked=CardsAsked(share=0.4, is_whole=False), cards=CARDS, holds=(Hold(worker="a", cards=("GPU-1",), share=0.4),)
    )
    chosen = view.choose()
    assert chosen is not None
    assert [card.id for card in chosen] == ["GPU-1"]
    assert view.room(9) == 3


def test_what_strangers_have_in_memory_counts() -> None:
    busy = (replace(CARDS[0], used_share=0.6), CARDS[1])
    assert CardView(asked=CardsAsked(), cards=busy).room(9) == 1
    view = CardView(asked=CardsAsked(share=0.3, is_whole=False), cards=busy)
    assert view.room(9) == 1 + 3
    ours = Hold(worker="w", cards=("GPU-0",), share=0.3)
    assert view.holding(ours).room(9) == 3
    assert view.holding(replace(ours, is_filled=True)).room(9) == 1 + 3


def test_a_shortage_says_what_is_asked_what_is_there_and_who_holds_it() -> None:
    holds = (Hold(worker="big-1", cards=("GPU-0",)),)
    cards = (CARDS[0], replace(CARDS[1], used_share=0.5))
    text = str(CardView(asked=CardsAsked(count=2), cards=cards, holds=holds).shortage())
    assert "asks 2 GPUs, 0 of 2 here are free" in text
    assert "0 is held by big-1" in text
    assert "1 has 50% of its memory in use by processes that are not of this server" in text
    assert "have the engine fill less than 90% of a GPU" in text


def test_more_than_there_are_or_another_kind_can_never_be_given() -> None:
    assert "asks 3 GPUs, this machine has 2 such" in str(CardView(asked=CardsAsked(count=3), cards=CARDS).shortage())
    view = CardView(asked=CardsAsked(kind="A100"), cards=CARDS)
    assert view.choose() is None
    assert "1 A100 GPU, this machine has 0 such; its GPUs: 0 (NVIDIA H100 80GB HBM3)" in str(view.shortage())
    assert CardView(asked=CardsAsked(kind="h100"), cards=CARDS).room(9) == 2


def test_cuda_is_told_numbers_in_the_order_of_the_bus_and_uuids_beside_mig_instances() -> None:
    assert environment_of(CARDS) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0,1"}
    instance = Card(id="MIG-a", number=1, is_mig=True)
    assert environment_of((instance,))["CUDA_VISIBLE_DEVICES"] == "MIG-a"
    assert environment_of(CARDS[:1], beside=(*CARDS[:1], instance))["CUDA_VISIBLE_DEVICES"] == "GPU-0"


def asked_by(runtime: str, accelerator: Accelerator = Accelerator.CUDA, **changes: object) -> CardsAsked | None:
    ref = parse_runtime(runtime)
    spec = replace(DeploymentSpec(name="a", model=parse_model("synthetic:tiny"), runtime=ref), **changes)  # type: ignore[arg-type]
    return cards_asked(spec, find_plug(ref.name), accelerator=accelerator, is_engine=runtime != "sim")


def test_an_engine_asks_a_whole_card_and_the_simulator_none() -> None:
    assert asked_by("vllm") == CardsAsked()
    assert asked_by("sim") is None
    assert asked_by("sim", resources=Resources(gpu=2)) == CardsAsked(count=2)


def test_tensor_parallel_asks_a_card_for_each_part() -> None:
    assert asked_by("vllm", tensor_parallel=4) == CardsAsked(count=4)
    assert asked_by("vllm", resources=Resources(gpu=2), tensor_parallel=1) == CardsAsked(count=2)


@pytest.mark.parametrize(("runtime", "name"), [("vllm", "gpu_memory_utilization"), ("transformers", "memory_fraction")])
def test_an_engine_that_is_told_its_share_of_memory_asks_for_that(runtime: str, name: str) -> None:
    args = {name: 0.4}
    assert asked_by(runtime, engine_args=args) == CardsAsked(share=0.4, is_whole=False)
    assert asked_by(runtime, engine_args=args, resources=Resources(gpu=1)) == CardsAsked(share=0.4)
    assert asked_by(runtime, engine_args={name: "much"}) == CardsAsked()


def test_without_a_gpu_nothing_is_asked_and_asking_is_refused_by_name() -> None:
    assert asked_by("vllm", Accelerator.CPU, tensor_parallel=2) is None
    with pytest.raises(NotEnoughGpus, match=r"resources\.gpu = 1: this machine has no GPU") as raised:
        asked_by("sim", Accelerator.CPU, resources=Resources(gpu=1))
    assert preparation_trouble(raised.value).reason == "InsufficientGPU"
