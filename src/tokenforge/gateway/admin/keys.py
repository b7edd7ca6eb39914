"""`/keys`: make API keys, list them, revoke them. A key itself is in one answer only: the one that made it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tokenforge.domain.api_key import ADMIN
from tokenforge.domain.errors import NotFound
from tokenforge.gateway.admin.operation import Operation, json_answer, json_body
from tokenforge.gateway.admin.schemas import KEY, KEYS, NEW_KEY
from tokenforge.protocol.keys import RANDOM_BYTES, KeyBody, key_answer, mint, parse_key
from tokenforge.store.base import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRoutes:
    """The handlers. `random` gives so many bytes of chance, `now` is RFC 3339, `refresh` reads the table anew."""

    keys: Keys
    random: Callable[[int], bytes]
    now: Callable[[], str]
    refresh: Callable[[], Awaitable[None]]

    def operations(self) -> tuple[Operation, ...]:
        """What is offered."""
        return (
            Operation(
                method="POST", path="/keys", summary="Make an API key", handle=self.create, needs=ADMIN,
                body=KeyBody, answers={201: NEW_KEY}, problems=(400, 409, 413),
            ),
            Operation(
                method="GET", path="/keys", summary="All API keys, without the keys themselves", handle=self.list,
                needs=ADMIN, answers={200: KEYS},
            ),
            Operation(
                method="DELETE", path="/keys/{name}", summary="Revoke an API key", handle=self.revoke, needs=ADMIN,
                answers={200: KEY}, problems=(404,),
            ),
        )  # fmt: skip

    async def create(self, request: Request) -> Response:
        """201 with the key."""
        body = parse_key(await json_body(request))
        made, token = mint(body, random=self.random(RANDOM_BYTES), now=self.now())
        await self.keys.add(made)
        await self._read_anew()
        return json_answer({**key_answer(made), "key": token}, status=201, headers={"cache-control": "no-store"})

    async def list(self, request: Request) -> Response:
        """What is kept of them."""
        del request
        return json_answer({"keys": [key_answer(key) for key in await self.keys.list() if not key.is_own]})

    async def revoke(self, request: Request) -> Response:
        """From now on it is not known."""
        name = str(request.path_params["name"])
        known = next((key for key in await self.keys.list() if key.name == name and not key.is_own), None)
        if known is None:
            raise NotFound(f"there is no key named {name[:80]!r}", hint="GET /keys lists them")
        await self.keys.revoke(name)
        await self._read_anew()
        return json_answer(key_answer(known))

    async def _read_anew(self) -> None:
        """Twice: the first may join a reading that had begun before the change."""
        await self.refresh()
        await self.refresh()
