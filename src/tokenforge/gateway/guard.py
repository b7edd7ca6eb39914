"""Who may come in: the seam for API keys, scopes and limits per key.

`admit` is called once for each request, before its body is read, and must neither wait nor touch the database. With
no key made yet the server listens on loopback only, and everybody there may do all.
"""

from typing import Protocol

from tokenforge.protocol.asgi import Scope


class Guard(Protocol):
    """Decides on one request."""

    def admit(self, scope: Scope, *, needs: str) -> None:
        """Return when the caller has the scope `needs`. Raises a TokenForgeError otherwise."""
        ...


class OpenDoor:
    """Lets everybody in."""

    def admit(self, scope: Scope, *, needs: str) -> None:
        """Yes."""
