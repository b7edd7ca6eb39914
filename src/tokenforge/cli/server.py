"""Where the server is that client commands speak to."""

import json
from pathlib import Path

from tokenforge.settings import Settings

DEFAULT_URL = "http://127.0.0.1:8080"


def platform_folder(settings: Settings) -> Path:
    """Where the platform keeps its state."""
    return settings.home / "platform"


def targets_folder(settings: Settings) -> Path:
    """Where processes of this machine say where their metrics are."""
    return platform_folder(settings) / "targets"


def server_of(settings: Settings) -> str:
    """As set, or where `up` runs here, or its default."""
    if settings.server is not None:
        return settings.server
    try:
        return str(json.loads((platform_folder(settings) / "up.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return DEFAULT_URL
