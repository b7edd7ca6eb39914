"""The console's files: one page, its style, its scripts; no build step, nothing from elsewhere.

They hold no data, so they are given to anybody. What the page shows it asks of the API with the caller's own key.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PAGE = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
"""The page runs its own scripts and talks to its own server; no other site may hold it in a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleFile:
    """One file as it is sent."""

    body: bytes
    media_type: str


@cache
def console_files() -> dict[str, ConsoleFile]:
    """All files by name, read once."""
    found = {}
    for entry in files("tokenforge.console").joinpath("static").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        found[entry.name] = ConsoleFile(body=entry.read_bytes(), media_type=_TYPES[suffix])
    return found
