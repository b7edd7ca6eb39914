"""API keys on the wire: what a key looks like, what it may do, the bodies of `/keys`.

A key is `tf-ID-SECRET`. The secret has 256 random bits, so nobody can guess it, and one SHA-256 of the whole key is
enough to keep: slow hashes exist for passwords, which people choose. The id is no secret; it finds the record, so that
what is secret is compared in constant time and never looked up.
"""

import base64
from collections.abc import Mapping

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tokenforge.domain.api_key import SCOPES, ApiKey
from tokenforge.domain.errors import InvalidInput
from tokenforge.protocol.benchmark_lengths import Body
from tokenforge.protocol.benchmark_words import schema_faults
from tokenforge.protocol.deploy_body import NAME_PATTERN
from tokenforge.protocol.key_token import KEY_PREFIX, digest

SECRET_BYTES = 32
_ID_BYTES = 6
RANDOM_BYTES = _ID_BYTES + SECRET_BYTES
"""How many random bytes a new key is made from."""


class KeyBody(Body):
    """A key to be made: its name, what it may do, how much of it."""

    name: str = Field(pattern=NAME_PATTERN, description="a-z, 0-9 and -, up to 63, unique")
    scopes: list[str] = Field(min_length=1, max_length=8, description=f"a list of: {', '.join(SCOPES)}")
    requests_per_minute: int = Field(default=0, ge=0, le=10_000_000, description="0: as many as it likes")
    concurrency: int = Field(default=0, ge=0, le=1_000_000, description="requests at once; 0: as many as it likes")

    @model_validator(mode="after")
    def _known_scopes(self) -> "KeyBody":
        if unknown := sorted(set(self.scopes) - set(SCOPES)):
            words = "names a scope that there is not: {unknown}"
            raise PydanticCustomError("bounds", words, {"field": "scopes", "unknown": ", ".join(unknown)[:80]})
        return self


def parse_key(data: Mapping[str, object]) -> KeyBody:
    """Raises InvalidInput with every fault."""
    try:
        return KeyBody.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(schema_faults(error, root=KeyBody), source="key") from None


def mint(body: KeyBody, *, random: bytes, now: str) -> tuple[ApiKey, str]:
    """A new key from `RANDOM_BYTES` of chance: what is kept of it, and the key itself, to be shown once."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key takes {RANDOM_BYTES} random bytes, not {len(random)}")
    identity = random[:_ID_BYTES].hex()
    secret = base64.urlsafe_b64encode(random[_ID_BYTES:]).rstrip(b"=").decode()
    token = f"{KEY_PREFIX}-{identity}-{secret}"
    made = ApiKey(
        id=identity, name=body.name, sha256=digest(token), scopes=frozenset(body.scopes), created_at=now,
        requests_per_minute=body.requests_per_minute, concurrency=body.concurrency,
    )  # fmt: skip
    return made, token


def key_answer(key: ApiKey) -> dict[str, object]:
    """What may be shown of a key at any time."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "requests_per_minute": key.requests_per_minute,
        "concurrency": key.concurrency,
        "created_at": key.created_at,
    }
