"""What an API key looks like on the wire: `tf-ID-SECRET`, and what is kept of it. No more, for who only checks keys."""

import hashlib

KEY_PREFIX = "tf"


def digest(token: str) -> str:
    """What is kept of a key: its SHA-256 in hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def identity_in(token: str) -> str:
    """The id in a key, or an empty string when it does not look like one."""
    prefix, _, rest = token.partition("-")
    identity, _, secret = rest.partition("-")
    return identity if prefix == KEY_PREFIX and secret else ""
