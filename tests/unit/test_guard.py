"""Who comes in: keys, scopes, limits. Virtual clock, a table in memory."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.domain.api_key import SCOPES, ApiKey
from tokenforge.domain.errors import Forbidden, InvalidInput, LimitReached, NotReady, TokenForgeError, Unauthorized
from tokenforge.gateway.guard import KeyRing, is_loopback
from tokenforge.protocol.key_token import digest, identity_in
from tokenforge.protocol.keys import RANDOM_BYTES, KeyBody, key_answer, mint, parse_key
from tokenforge.protocol.problem import problem_of


def made(*scopes: str, number: int = 1, per_minute: int = 0, at_once: int = 0) -> tuple[ApiKey, str]:
    body = KeyBody(name=f"k{number}", scopes=list(scopes), requests_per_minute=per_minute, concurrency=at_once)
    return mint(body, random=bytes([number]) * RANDOM_BYTES, now="2026-01-01T00:00:00Z")


def ask(token: str | None = None, **headers: str) -> dict[str, Any]:
    said = {**headers, **({} if token is None else {"authorization": f"Bearer {token}"})}
    return {"headers": [(name.encode(), value.encode()) for name, value in said.items()]}


@dataclass(slots=True)
class Door:
    """A ring with these keys, and its clock."""

    now_s: float = 0.0
    ring: KeyRing = field(init=False)

    def __post_init__(self) -> None:
        self.ring = KeyRing(clock=lambda: self.now_s, is_loopback=True)

    def refusal(self, scope: dict[str, Any], needs: str = "infer") -> TokenForgeError | None:
        try:
            self.ring.admit(scope, needs=needs)
        except TokenForgeError as error:
            return error
        return None


def door(*keys: ApiKey) -> Door:
    opened = Door()
    opened.ring.replace(keys)
    return opened


def test_before_the_first_table_nobody_is_admitted() -> None:
    assert isinstance(Door().refusal(ask()), NotReady)


def test_without_a_key_everybody_on_loopback_may_do_all() -> None:
    assert door().refusal(ask(), "admin") is None


def test_without_a_key_nobody_may_do_anything_where_others_reach_it() -> None:
    ring = KeyRing(clock=lambda: 0.0, is_loopback=False)
    ring.replace(())
    with pytest.raises(Unauthorized, match="no API key is made yet"):
        ring.admit(ask(), needs="read")


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"host": "evil.example:8080"}, {"origin": "null"}]
)
def test_without_a_key_a_page_of_another_site_is_refused(headers: dict[str, str]) -> None:
    assert isinstance(door().refusal(ask(None, **headers), "deploy"), Forbidden)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:1", "[::1]:80", "127.8.8.8"])
def test_without_a_key_this_machines_own_names_are_served(host: str) -> None:
    assert door().refusal(ask(None, host=host, origin=f"http://{host}"), "deploy") is None


@pytest.mark.parametrize("host", ["", "0.0.0.0", "10.0.0.1", "::", "example.org", "127.0.0.1.example.org"])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_the_platforms_own_key_does_not_close_an_open_door() -> None:
    own, _ = made("infer")
    own = ApiKey(id=own.id, name="run:b1", sha256=own.sha256, scopes=own.scopes, created_at="")
    assert door(own).refusal(ask(), "admin") is None


@pytest.mark.parametrize("has", SCOPES)
@pytest.mark.parametrize("needs", [*SCOPES, "read"])
def test_a_scope_lets_in_where_it_should_and_nowhere_else(has: str, needs: str) -> None:
    key, token = made(has)
    refused = door(key).refusal(ask(token), needs)
    assert (refused is None) is (needs in (has, "read") or has == "admin")
    assert refused is None or problem_of(refused).status == 403


def test_a_key_without_the_scope_is_told_which_one_it_needs() -> None:
    key, token = made("infer")
    refused = door(key).refusal(ask(token), "deploy")
    assert refused is not None
    told = problem_of(refused).headers["www-authenticate"]
    assert told == 'Bearer realm="tokenforge", error="insufficient_scope", scope="deploy"'


def test_no_key_is_401_without_and_a_wrong_one_with_an_error_in_the_challenge() -> None:
    guarded = door(made("infer")[0])
    missing, wrong = guarded.refusal(ask()), guarded.refusal(ask("tf-a-b"))
    assert missing is not None
    assert wrong is not None
    assert problem_of(missing).headers == {"www-authenticate": 'Bearer realm="tokenforge"'}
    assert problem_of(wrong).headers == {"www-authenticate": 'Bearer realm="tokenforge", error="invalid_token"'}
    assert (problem_of(missing).status, problem_of(wrong).code) == (401, "invalid_api_key")


@given(st.integers(0, 45), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_key_with_any_one_character_changed_is_refused(place: int, char: str) -> None:
    key, token = made("admin")
    changed = token[:place] + char + token[place + 1 :]
    refused = door(key).refusal(ask(changed))
    assert (refused is None) is (changed == token)
    assert refused is None or changed not in str(refused)


def test_a_revoked_key_is_refused_while_others_go_on() -> None:
    (gone, token), (stays, other) = made("infer", number=1), made("infer", number=2)
    guarded = door(gone, stays)
    guarded.ring.replace((stays,))
    assert isinstance(guarded.refusal(ask(token)), Unauthorized)
    assert guarded.refusal(ask(other)) is None


def test_a_minutes_requests_pass_at_once_then_they_pass_evenly() -> None:
    key, token = made("infer", per_minute=6)
    guarded = door(key)
    assert [guarded.refusal(ask(token)) for _ in range(6)] == [None] * 6
    refused = guarded.refusal(ask(token))
    assert isinstance(refused, LimitReached)
    assert problem_of(refused).headers == {"retry-after": "10"}
    guarded.now_s = 10.0
    assert guarded.refusal(ask(token)) is None
    assert guarded.refusal(ask(token)) is not None


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_no_pattern_of_asking_gets_more_than_a_burst_and_the_rate(gaps: list[float]) -> None:
    key, token = made("infer", per_minute=30)
    guarded, passed = door(key), 0
    for gap in gaps:
        guarded.now_s += gap
        passed += guarded.refusal(ask(token)) is None
    assert passed <= 30 + guarded.now_s * 0.5 + 1e-6


def test_a_place_is_given_back_once_when_the_request_ends() -> None:
    key, token = made("infer", at_once=2)
    guarded = door(key)
    first, second = ask(token), ask(token)
    assert [guarded.refusal(first), guarded.refusal(second)] == [None, None]
    assert isinstance(guarded.refusal(ask(token)), LimitReached)
    for _ in range(2):
        guarded.ring.leave(first)
    assert guarded.refusal(ask(token)) is None
    assert isinstance(guarded.refusal(ask(token)), LimitReached)


def test_limits_are_kept_when_the_table_is_read_anew_and_one_key_does_not_use_anothers() -> None:
    (key, token), (other, others) = made("infer", number=1, per_minute=1), made("infer", number=2, per_minute=1)
    guarded = door(key, other)
    assert guarded.refusal(ask(token)) is None
    guarded.ring.replace((key, other))
    assert guarded.refusal(ask(token)) is not None
    assert guarded.refusal(ask(others)) is None


def test_what_is_kept_or_shown_of_a_key_does_not_hold_it() -> None:
    key, token = made("infer")
    secret = token.rpartition("-")[2] if token.count("-") == 2 else token.split("-", 2)[2]
    assert len(secret) == 43
    assert secret not in repr(key) + str(key_answer(key))
    assert (identity_in(token), digest(token)) == (key.id, key.sha256)


def test_every_fault_of_a_new_key_is_told() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_key({"name": "A B", "scopes": [], "concurrency": -1, "rate": 1})
    assert {fault.field for fault in caught.value.faults} == {"name", "scopes", "concurrency", "rate"}
    with pytest.raises(InvalidInput, match="root"):
        parse_key({"name": "a", "scopes": ["root"]})
