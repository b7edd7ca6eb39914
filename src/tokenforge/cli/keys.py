"""`keys`: make, list and revoke API keys, of a server that is named or of this machine's own state.

Without a server it writes where `up` keeps its state: whoever may do that needs no key. So the first key is made.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from tokenforge.cli.deployments import api_of
from tokenforge.cli.platform_places import platform_store
from tokenforge.cli.show import print_json, print_table
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.moments import moment_text
from tokenforge.gateway.guard import is_loopback
from tokenforge.protocol.keys import RANDOM_BYTES, key_answer, mint, parse_key
from tokenforge.settings import read_settings
from tokenforge.store.base import Keys

T = TypeVar("T")


def create(body: Mapping[str, object], *, server: str | None, as_json: bool) -> int:
    """Make one; the key is printed once and kept nowhere."""
    if (named := server or read_settings().server) is not None:
        answer: dict[str, Any] = api_of(named).call("POST", "/keys", body)
    else:
        now = moment_text(datetime.now(UTC))
        made, token = mint(parse_key(body), random=os.urandom(RANDOM_BYTES), now=now)
        _here(lambda keys: keys.add(made))
        answer = {**key_answer(made), "key": token}
    if as_json:
        print_json(answer)
        return 0
    print(answer["key"])
    may = ", ".join(answer["scopes"])
    print(f"Key {answer['name']!r} ({may}). It is shown this once; keep it safe.", file=sys.stderr)
    print("Commands read it from TOKENFORGE_API_KEY, OpenAI's clients as their api_key.", file=sys.stderr)
    return 0


def show(*, server: str | None, as_json: bool) -> int:
    """A table of all of them."""
    if (named := server or read_settings().server) is not None:
        listed: dict[str, Any] = api_of(named).get("/keys")
    else:
        listed = {"keys": [key_answer(key) for key in _here(lambda keys: keys.list()) if not key.is_own]}
    if as_json:
        print_json(listed)
        return 0
    rows = [
        (k["name"], " ".join(k["scopes"]), _limit(k["requests_per_minute"]), _limit(k["concurrency"]), k["created_at"])
        for k in listed["keys"]
    ]
    print_table(("name", "scopes", "requests a minute", "at once", "made"), rows)
    return 0


def revoke(name: str, *, server: str | None, as_json: bool) -> int:
    """End one."""
    if (named := server or read_settings().server) is not None:
        api_of(named).call("DELETE", f"/keys/{quote(name, safe='')}")
    else:
        _here(lambda keys: keys.revoke(name))
    if as_json:
        print_json({"revoked": name})
    else:
        print(f"key {name!r} is revoked")
    return 0


def has_key() -> bool:
    """Whether a key was made for this machine's state."""
    return any(not key.is_own for key in _here(lambda keys: keys.list()))


def require_key(host: str) -> None:
    """Raises InvalidInput when `host` can be reached from elsewhere and nobody would need a key there."""
    if not is_loopback(host) and not has_key():
        hint = "make one first: tokenforge keys create NAME --scope admin; or listen on 127.0.0.1"
        message = "can be reached from other machines, and no API key is made yet"
        raise InvalidInput([Fault(field="--host", value=host, message=message, hint=hint)], source="options")


def _here(work: Callable[[Keys], Awaitable[T]]) -> T:
    async def main() -> T:
        store = platform_store(read_settings())
        try:
            return await work(store.keys)
        finally:
            await store.close()

    return asyncio.run(main())


def _limit(number: int) -> str:
    return str(number) if number else "no limit"
