"""Who may have how many replicas when all together may not have more than so many."""

from hypothesis import given
from hypothesis import strategies as st
from test_reconcile import SPEC

from tokenforge.control.budget import Budget
from tokenforge.domain.deployment import Autoscale, Deployment, DeploymentId
from tokenforge.domain.deployment_state import Observed, Scaling


def fixed(name: str, replicas: int, *, is_deleting: bool = False) -> Deployment:
    spec = SPEC.__class__(name=name, model=SPEC.model, runtime=SPEC.runtime, replicas=replicas)
    return Deployment(
        id=DeploymentId(name), spec=spec, generation=1, observed=Observed(), created_at="", updated_at="",
        is_deleting=is_deleting,
    )  # fmt: skip


def scaled(name: str, now: int) -> Deployment:
    spec = SPEC.__class__(
        name=name, model=SPEC.model, runtime=SPEC.runtime, autoscale=Autoscale(min=0, max=9, target=1)
    )
    return Deployment(
        id=DeploymentId(name), spec=spec, generation=1, observed=Observed(scaling=Scaling(replicas=now)),
        created_at="", updated_at="",
    )  # fmt: skip


def rooms(*deployments: Deployment, most: int) -> list[int]:
    """What each may have, when each takes what it wants of it."""
    budget = Budget(deployments, most)
    found = []
    for one in deployments:
        room = budget.room(one)
        budget.grant(one, min(one.wanted, room))
        found.append(room)
    return found


def test_what_nobody_has_is_there_for_any_of_them() -> None:
    assert rooms(fixed("a", 2), scaled("b", 3), most=8) == [5, 6]


def test_none_grows_into_what_another_has() -> None:
    assert rooms(scaled("a", 3), scaled("b", 5), most=8) == [3, 5]


def test_who_was_first_is_served_first() -> None:
    assert rooms(fixed("a", 6), fixed("b", 6), fixed("c", 1), most=8) == [6, 2, 0]


def test_an_idle_one_keeps_room_to_wake() -> None:
    assert rooms(scaled("idle", 0), scaled("busy", 7), most=8) == [1, 7]


def test_one_that_is_being_deleted_keeps_none() -> None:
    assert rooms(fixed("gone", 8, is_deleting=True), fixed("b", 8), most=8) == [0, 8]


@given(wants=st.lists(st.integers(0, 6), min_size=1, max_size=6), most=st.integers(1, 12))
def test_together_they_never_have_more(wants: list[int], most: int) -> None:
    deployments = [fixed(str(n), want) if want % 2 else scaled(str(n), want) for n, want in enumerate(wants)]
    budget = Budget(deployments, most)
    total = 0
    for one in deployments:
        take = min(budget.room(one), 6)
        budget.grant(one, take)
        total += take
    assert total <= most
