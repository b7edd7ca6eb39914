"""The nouns of a deployment: its template, its phases, its readiness, its ids."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec, shown_spec
from tokenforge.domain.deployment_state import Observed, Phase, can_step
from tokenforge.domain.ids import uuid7
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime

SPEC = DeploymentSpec(name="a", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"))


def deployment(*, generation: int, seen: int) -> Deployment:
    observed = Observed(generation=seen, phase=Phase.READY)
    return Deployment(
        id=DeploymentId("d"), spec=SPEC, generation=generation, observed=observed, created_at="", updated_at=""
    )


def test_more_replicas_are_of_the_same_template() -> None:
    assert replace(SPEC, replicas=5, name="b").template == SPEC.template


@pytest.mark.parametrize("change", [{"revision": "2"}, {"max_model_len": 64}, {"engine_args": {"seed": 1}}])
def test_what_a_replica_is_made_from_is_in_the_template(change: dict[str, object]) -> None:
    assert replace(SPEC, **change).template != SPEC.template  # type: ignore[arg-type]


def test_ready_is_never_said_of_an_old_generation() -> None:
    assert deployment(generation=1, seen=1).is_ready
    assert not deployment(generation=2, seen=1).is_ready


def test_nothing_leaves_deleting() -> None:
    assert [phase for phase in Phase if can_step(Phase.DELETING, phase)] == [Phase.DELETING]


@pytest.mark.parametrize("phase", list(Phase))
def test_staying_and_deleting_are_always_allowed(phase: Phase) -> None:
    assert can_step(phase, phase)
    assert can_step(phase, Phase.DELETING)


def test_secrets_of_engine_arguments_are_not_shown() -> None:
    spec = replace(SPEC, engine_args={"api_key": "canary", "seed": 1})
    assert "canary" not in str(shown_spec(spec))
    assert shown_spec(spec).engine_args["seed"] == 1


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_sort_by_their_time(unix_ms: int, first: bytes, second: bytes) -> None:
    assert uuid7(unix_ms=unix_ms, random=first) < uuid7(unix_ms=unix_ms + 1, random=second)


def test_an_id_has_the_version_and_variant_of_its_standard() -> None:
    made = uuid7(unix_ms=0x017F22E279B0, random=bytes.fromhex("0cc318c4dc0c0c07398f"))
    assert made[:15] == "017f22e2-79b0-7"
    assert made[19] in "89ab"


def test_an_id_of_too_little_chance_is_refused() -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(unix_ms=1, random=b"1")
