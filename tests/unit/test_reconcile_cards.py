"""Replicas and the GPUs of one machine: who starts, who gives way for a changed spec, what is said of a shortage."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from test_reconcile import SPEC, Stage

from tokenforge.control.cards import Card, CardsAsked, CardView, Hold
from tokenforge.control.decision import TEMPLATE_LABEL, Start, Stop, World
from tokenforge.domain.deployment_state import Phase
from tokenforge.protocol.worker_spec import WorkerPhase


@dataclass
class CardStage(Stage):
    """A stage on a machine with cards: each worker holds one of its own, in the order of their launch."""

    cards: int = 2
    asked: CardsAsked = field(default_factory=CardsAsked)
    others: int = 0
    holds: dict[str, str] = field(default_factory=dict)
    fewest_ready: int = 99

    def view(self) -> CardView:
        """What there is now."""
        held = tuple(Hold(worker=name, cards=(card,)) for name, card in self.holds.items() if self.is_held(name))
        strangers = tuple(Hold(worker=f"other-{n}", cards=(f"GPU-{n}",)) for n in range(self.others))
        cards = tuple(Card(id=f"GPU-{n}", number=n) for n in range(self.cards))
        return CardView(asked=self.asked, cards=cards, holds=held + strangers)

    def is_held(self, name: str) -> bool:
        """Until the worker is gone."""
        worker = self.fleet.workers.get(name)
        return worker is not None and worker.is_alive

    def world(self) -> World:
        """With its cards."""
        return replace(super().world(), cards=self.view())

    def _act(self, action: object, error: object) -> None:
        if isinstance(action, Start):
            chosen = self.view().choose()
            assert chosen is not None, "more were started than there are cards"
            self.holds[f"w{self.fleet.launched}"] = chosen[0].id
        super()._act(action, None)

    def change(self, turns: int = 40) -> None:
        """A changed spec, until it is settled; notes how few served meanwhile."""
        self.want(revision=f"{self.deployment.generation}")
        for _ in range(turns):
            self.turn()
            serving = [w for w in self.fleet.workers.values() if w.phase is WorkerPhase.READY and w.is_alive]
            self.fewest_ready = min(self.fewest_ready, len([w for w in serving if w.stopping_since_s is None]))
            self.fleet.now_s += 1.0
            self.fleet.progress()
        self.turn()


def test_no_more_start_than_there_are_cards_and_the_condition_says_who_holds_them() -> None:
    stage = CardStage(others=1)
    stage.want(replicas=2)
    stage.settle()
    assert stage.fleet.launched == 1
    assert stage.deployment.observed.phase is Phase.DEGRADED
    healthy = stage.condition("Healthy")
    assert (healthy.is_true, healthy.reason) == (False, "InsufficientGPU")
    assert "0 is held by other-0" in healthy.message


def test_without_any_free_card_it_has_failed_and_starts_once_there_is_one() -> None:
    stage = CardStage(others=2)
    stage.settle()
    assert stage.deployment.observed.phase is Phase.FAILED
    assert stage.condition("Ready").reason == "InsufficientGPU"
    assert stage.deployment.observed.failures == 0
    stage.others = 1
    assert any(isinstance(action, Start) for action in stage.turn())
    assert stage.settle().deployment.is_ready


def test_a_change_starts_beside_the_old_ones_where_cards_are_free() -> None:
    stage = CardStage(cards=2)
    stage.settle()
    stage.change()
    assert stage.deployment.is_ready
    assert stage.fewest_ready == 1


def test_without_a_free_card_old_replicas_give_way_one_at_a_time() -> None:
    stage = CardStage(cards=3)
    stage.want(replicas=3)
    stage.settle()
    stage.change()
    assert stage.deployment.is_ready
    assert stage.fewest_ready == 2
    assert {stage.holds[name] for name in stage.fleet.workers} == {"GPU-0", "GPU-1", "GPU-2"}


def test_the_only_replica_on_the_only_card_gives_way_and_it_is_told() -> None:
    stage = CardStage(cards=1)
    stage.settle()
    stage.want(revision="2")
    stage.turn()
    assert stage.turn() == [Stop("w0")]
    assert "the next one waits for the GPUs of one that gives way" in stage.condition("Ready").message
    assert stage.condition("Healthy").is_true
    assert stage.settle().deployment.is_ready


def test_a_changed_spec_that_dies_costs_one_replica_and_not_all() -> None:
    stage = CardStage(cards=3)
    stage.want(replicas=3)
    stage.settle()
    stage.want(revision="2")
    for _ in range(60):
        stage.turn()
        for name, worker in list(stage.fleet.workers.items()):
            is_new = worker.labels["template"] == stage.deployment.spec.template
            if is_new and worker.is_alive and worker.phase is WorkerPhase.LOADING:
                stage.fleet.die(name, cause="no such option")
        stage.fleet.now_s += 1.0
        stage.fleet.progress()
    old = [w for w in stage.fleet.workers.values() if w.labels["template"] != stage.deployment.spec.template]
    assert len([w for w in old if w.is_alive and w.stopping_since_s is None]) == 2


def test_old_replicas_stay_where_their_cards_would_not_do() -> None:
    stage = CardStage(cards=1)
    stage.settle()
    stage.want(revision="2")
    stage.asked = CardsAsked(count=2)
    stage.turn()
    stage.turn()
    assert not any(isinstance(action, Stop) for action in stage.turn())
    assert "asks 2 GPUs, this machine has 1 such" in stage.condition("Healthy").message
    assert stage.deployment.observed.phase is Phase.DEGRADED


def test_a_killed_replica_is_replaced_on_its_own_card_in_the_same_turn() -> None:
    stage = CardStage(cards=1)
    stage.settle()
    stage.fleet.die("w0")
    assert Start(SPEC.template) in stage.turn()
    assert stage.holds["w1"] == "GPU-0"


STEPS = st.lists(
    st.tuples(st.sampled_from(["replicas", "revision", "kill", "others", "turn"]), st.integers(0, 4)), max_size=12
)


@given(st.integers(1, 4), STEPS)
@settings(max_examples=25, deadline=None)
def test_whatever_happens_no_card_is_held_twice_and_in_the_end_all_that_fit_are_of_the_newest_spec(
    cards: int, steps: list[tuple[str, int]]
) -> None:
    stage = CardStage(cards=cards)
    stage.settle(4)
    for number, (what, value) in enumerate(steps):
        living = [name for name in stage.fleet.workers if stage.is_held(name)]
        if what == "replicas":
            stage.want(replicas=value)
        elif what == "revision":
            stage.want(revision=str(number))
        elif what == "kill" and living:
            stage.fleet.die(living[value % len(living)])
        elif what == "others":
            stage.others = min(value, cards - len(living)) if living else min(value, cards)
        stage.settle(2)
        held = [stage.holds[name] for name in stage.fleet.workers if stage.is_held(name)]
        assert len(held) == len(set(held))
    stage.others = 0
    stage.settle(80)
    alive = [worker for worker in stage.fleet.workers.values() if worker.is_alive]
    assert {worker.labels[TEMPLATE_LABEL] for worker in alive} <= {stage.deployment.spec.template}
    assert len(alive) == min(stage.deployment.spec.replicas, cards)
    assert stage.deployment.is_ready == (0 < stage.deployment.spec.replicas <= cards)
