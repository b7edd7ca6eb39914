"""An API key as it is kept, and what it may do."""

from dataclasses import dataclass

INFER, DEPLOY, BENCH, ADMIN = "infer", "deploy", "bench", "admin"
SCOPES = (INFER, DEPLOY, BENCH, ADMIN)

READ = "read"
"""What any key may do: see what is deployed."""

OWN = "run:"
"""How names of the platform's own keys begin; a user's name has no colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Never the key itself, only the SHA-256 (hex) of it. Limits of 0 mean none; `created_at` is RFC 3339 UTC.

    Names that begin with `OWN` are the platform's own keys, made for a while (a benchmark's load): they are not listed,
    and none of them is the first key that closes an open door.
    """

    id: str
    name: str
    sha256: str
    scopes: frozenset[str]
    created_at: str
    requests_per_minute: int = 0
    concurrency: int = 0

    def may(self, scope: str) -> bool:
        """Whether it has the scope; `admin` has every one."""
        return scope == READ or scope in self.scopes or ADMIN in self.scopes

    @property
    def is_own(self) -> bool:
        """Whether the platform made it for itself."""
        return self.name.startswith(OWN)
