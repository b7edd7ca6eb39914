"""Run uv, tell its progress line by line, and turn its failure into one sentence with what to do."""

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from uv import find_uv_bin

_KEPT_LINES = 40
_USERINFO = re.compile(r"://[^/@\s]+@")
_NOISE = re.compile(r"^\s*(\+|-|~) ")


class UvFailed(Exception):
    """uv ended with an error: `reason` in a sentence, `advice` what to do, both without credentials."""

    def __init__(self, reason: str, *, advice: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


def run_uv(arguments: Sequence[str], *, env: Mapping[str, str], tell: Callable[[str], None], limit_s: float) -> None:
    """Run `uv ARGUMENTS`; each progress line goes to `tell`. Raises UvFailed. Past `limit_s` seconds uv is ended."""
    process = subprocess.Popen(
        [find_uv_bin(), *arguments],
        env=_environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    timer = threading.Timer(limit_s, process.kill)
    timer.start()
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                clean = _USERINFO.sub("://", line.rstrip())
                last.append(clean)
                if clean and not _NOISE.match(clean):
                    tell(clean.strip())
        code = process.wait()
    finally:
        timed_out = not timer.is_alive()
        timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
    if code != 0:
        raise _failure(list(last), limit_s=limit_s if timed_out else None)


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """pip's certificate setting is uv's too; an outer virtual environment must not leak in."""
    chosen = {key: value for key, value in env.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}}
    if "PIP_CERT" in chosen:
        chosen.setdefault("SSL_CERT_FILE", chosen["PIP_CERT"])
    return chosen


def _failure(lines: Sequence[str], *, limit_s: float | None) -> UvFailed:
    text = "\n".join(line for line in lines if line.strip())
    flat = " ".join(re.sub(r"[\s│╰─▶×├]+", " ", text[max(0, text.find("error:")) :]).split())
    if limit_s is not None:
        return UvFailed(f"it took more than {limit_s:.0f} s", advice="Check the network and try again")
    if "No space left on device" in flat or "os error 28" in flat:
        return UvFailed("the disk is full", advice="Free some space or set TOKENFORGE_HOME to another folder")
    if match := re.search(r"[Bb]ecause there (?:is|are) no versions? of (\S+)", flat):
        return UvFailed(f"{match[1].strip(',')} cannot be had", advice=_PACKAGE_ADVICE)
    if "was not found in the package registry" in flat and (match := re.search(r"(\S+) was not found in the", flat)):
        return UvFailed(f"the package {match[1]} was not found", advice=_PACKAGE_ADVICE)
    if re.search(r"error sending request|dns error|Connection refused|Failed to fetch", flat):
        return UvFailed(f"a package could not be fetched; {_tail(flat)}", advice="Check the network to your registry")
    return UvFailed(_tail(flat), advice="Run it again, or install the package by hand to see more")


_PACKAGE_ADVICE = "Check the version's name, or name a place that has it in PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL"


def _tail(flat: str) -> str:
    return flat if len(flat) <= 400 else "..." + flat[-400:]
