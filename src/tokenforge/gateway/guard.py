"""Who may come in: API keys, their scopes and their limits, from a table in memory.

`admit` is called once for each request, before its body is read, and neither waits nor touches the database: the feed
replaces the table. Until the first table is there nobody is admitted. With no key made yet everybody on a loopback
address may do all, but no page of another site that a browser there has open; elsewhere nobody may do anything.
"""

import hmac
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from tokenforge.domain.api_key import ApiKey
from tokenforge.domain.errors import Forbidden, LimitReached, NotReady, Unauthorized
from tokenforge.protocol.asgi import FIELDS, Scope
from tokenforge.protocol.key_token import digest, identity_in

Fields = Mapping[bytes, bytes]

_LEAVE = "tokenforge.leave"
_MAKE_ONE = "Make one where the server runs: tokenforge keys create NAME --scope admin"
_SEND_ONE = "Send it as `Authorization: Bearer KEY`; commands read it from TOKENFORGE_API_KEY"
_NO_DIGEST = "0" * 64
_MOST_ADMITTED = 4096


class Guard(Protocol):
    """Decides on one request."""

    def enter(self, fields: Fields, *, needs: str) -> "Use | None":
        """Return when the caller has the scope `needs` and is within its limits. Raises a TokenForgeError otherwise.

        `fields` are the request's headers by lower-case name. What comes back is one more in flight until it is left.
        """
        ...

    def admit(self, scope: Scope, *, needs: str) -> None:
        """The same for an ASGI application, whose scope keeps what is to be left."""
        ...

    def leave(self, scope: Scope) -> None:
        """The request of that scope is answered, admitted or not. Called once for each request."""
        ...


@dataclass(slots=True)
class Use:
    """How a key is used here: requests in flight, and what is left of its rate at `at_s`."""

    left: float
    at_s: float
    in_flight: int = 0


@dataclass(slots=True, kw_only=True)
class KeyRing:
    """The keys there are. `clock` is monotonic seconds; `is_loopback`: the server cannot be reached from elsewhere."""

    clock: Callable[[], float]
    is_loopback: bool
    _keys: Mapping[str, ApiKey] | None = None
    _is_open: bool = False
    _has_users: bool = False
    _uses: dict[str, Use] = field(default_factory=dict)
    _admitted: dict[bytes, tuple[ApiKey, Use]] = field(default_factory=dict)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Take a new table; what a key has used of its limits stays."""
        self._keys = {key.id: key for key in keys}
        self._admitted.clear()
        self._has_users = any(not key.is_own for key in self._keys.values())
        self._is_open = self.is_loopback and not self._has_users
        for gone in [id_ for id_, use in self._uses.items() if id_ not in self._keys and not use.in_flight]:
            del self._uses[gone]

    def enter(self, fields: Fields, *, needs: str) -> Use | None:
        """Raises NotReady, Unauthorized, Forbidden, LimitReached."""
        if self._keys is None:
            raise NotReady("the API keys are not read yet")
        if self._is_open:
            _refuse_other_sites(fields)
            return None
        said = fields.get(b"authorization", b"")
        key, use = self._admitted.get(sha256(said).digest()) or self._admit(said)
        if needs not in key.scopes and not key.may(needs):
            has = ", ".join(sorted(key.scopes)) or "none"
            raise Forbidden(f"this needs a key with the scope {needs}; key {key.name!r} has {has}", scope=needs)
        self._count(key, use)
        return use

    def admit(self, scope: Scope, *, needs: str) -> None:
        """Raises what `enter` does."""
        fields: Fields = scope[FIELDS] if FIELDS in scope else dict(reversed(scope["headers"]))
        use = self.enter(fields, needs=needs)
        if use is not None:
            scope[_LEAVE] = use

    def leave(self, scope: Scope) -> None:
        """Give back the place of an admitted request."""
        use = scope.pop(_LEAVE, None)
        if isinstance(use, Use):
            use.in_flight -= 1

    def _admit(self, said: bytes) -> tuple[ApiKey, Use]:
        """The key in an Authorization header, and how it is used; no part of it comes back in an error.

        A header that was right is remembered by its digest: who does not know it cannot aim at a digest.
        """
        key = self._look_up(said.decode("latin-1"))
        use = self._uses.get(key.id)
        if use is None:
            use = self._uses[key.id] = Use(left=float(key.requests_per_minute), at_s=self.clock())
        if len(self._admitted) < _MOST_ADMITTED:
            self._admitted[sha256(said).digest()] = key, use
        return key, use

    def _look_up(self, said: str) -> ApiKey:
        keys = self._keys or {}
        if not self._has_users:
            raise Unauthorized("no API key is made yet, and this server can be reached from elsewhere", hint=_MAKE_ONE)
        scheme, _, token = said.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("this server needs an API key", hint=_SEND_ONE, is_missing=True)
        key = keys.get(identity_in(token))
        is_right = hmac.compare_digest(digest(token), _NO_DIGEST if key is None else key.sha256)
        if key is None or not is_right:
            raise Unauthorized("the API key is not known here; it may have been revoked", hint=_SEND_ONE)
        return key

    def _count(self, key: ApiKey, use: Use) -> None:
        """Take one request from the key's limits: a bucket of a minute's requests that fills evenly."""
        if key.concurrency and use.in_flight >= key.concurrency:
            raise LimitReached(f"key {key.name!r} has {use.in_flight} requests in flight, as many as it may")
        if key.requests_per_minute:
            now, most = self.clock(), float(key.requests_per_minute)
            use.left = min(most, use.left + (now - use.at_s) * most / 60.0)
            use.at_s = now
            if use.left < 1.0:
                wait_s = math.ceil((1.0 - use.left) * 60.0 / most)
                message = f"key {key.name!r} may send {key.requests_per_minute} requests a minute"
                raise LimitReached(message, retry_after_s=wait_s)
            use.left -= 1.0
        use.in_flight += 1


def is_loopback(host: str) -> bool:
    """Whether an address, or `localhost`, stands for this machine alone."""
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _refuse_other_sites(fields: Fields) -> None:
    """A browser sends what any page asks it to, also to this machine: its headers say for whom."""
    origin, host = (fields.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    for said in (origin, f"//{host}" if host else ""):
        if said and not is_loopback(_host_in(said)):
            text = "without an API key this server answers this machine alone, under its own name"
            raise Forbidden(f"{text}, not {said.removeprefix('//')[:80]!r}", hint=_MAKE_ONE)


def _host_in(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
