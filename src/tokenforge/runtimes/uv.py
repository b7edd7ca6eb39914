"""Run uv, tell its progress line by line, and turn its failure into one sentence with what to do."""

import contextlib
import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import psutil

_KEPT_LINES = 40
_USERINFO = re.compile(r"://[^/@\s]+@")
_NOISE = re.compile(r"^\s*(\+|-|~) ")


class UvFailed(Exception):
    """uv ended with an error: `reason` in a sentence, `advice` what to do, its last lines; all without credentials."""

    def __init__(self, reason: str, *, advice: str, last_words: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.last_words = tuple(last_words)


def _find_uv() -> str:
    """uv's program. Raises FileNotFoundError where the package is missing, as on machines that install nothing."""
    try:
        from uv import find_uv_bin
    except ImportError as error:
        raise FileNotFoundError("uv") from error
    return find_uv_bin()


def run_uv(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    tell: Callable[[str], None],
    limit_s: float,
    find_uv: Callable[[], str] = _find_uv,
) -> None:
    """Run `uv ARGUMENTS`; each progress line goes to `tell`. Raises UvFailed. Past `limit_s` seconds uv is ended."""
    try:
        program = find_uv()
    except FileNotFoundError as error:
        raise UvFailed("uv is missing", advice="Install it beside TokenForge: pip install uv") from error
    process = subprocess.Popen(
        [program, *arguments],
        env=uv_environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    late = threading.Event()
    timer = threading.Timer(limit_s, _end_late, args=(process, late))
    timer.start()
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        _follow(process, last, tell)
    finally:
        timer.cancel()
        if process.poll() is None:
            _kill(process)
            process.wait()
    if late.is_set():
        raise UvFailed(f"it took more than {limit_s:g} s", advice="Check the network and try again", last_words=last)
    if process.returncode != 0:
        raise explain_failure(last)


def uv_environment(env: Mapping[str, str]) -> dict[str, str]:
    """pip's certificates and index are uv's too; an outer virtual environment must not leak in."""
    chosen = {key: value for key, value in env.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}}
    for ours, pips in (("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), ("SSL_CERT_FILE", "PIP_CERT")):
        if chosen.get(pips):
            chosen[ours] = chosen.get(ours) or chosen[pips]
    if chosen.get("PIP_INDEX_URL") and not chosen.get("UV_INDEX_URL"):
        chosen.setdefault("UV_DEFAULT_INDEX", chosen["PIP_INDEX_URL"])
    return chosen


def explain_failure(lines: Iterable[str]) -> UvFailed:
    """uv's last lines as one sentence with advice."""
    kept = [line for line in lines if line.strip()]
    reason, advice = _reason("\n".join(kept))
    return UvFailed(reason, advice=advice, last_words=kept)


def _follow(process: "subprocess.Popen[str]", last: deque[str], tell: Callable[[str], None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            clean = _USERINFO.sub("://", line.rstrip())
            last.append(clean)
            if clean and not _NOISE.match(clean):
                tell(clean.strip())
    process.wait()


def _end_late(process: "subprocess.Popen[str]", late: threading.Event) -> None:
    late.set()
    _kill(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    """uv and what it runs (a package's build), which would hold our pipe open."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()


def _reason(text: str) -> tuple[str, str]:
    flat = " ".join(re.sub(r"[\s│╰─▶×├]+", " ", text[max(0, text.find("error:")) :]).split())
    if "No space left on device" in flat or "os error 28" in flat:
        return "the disk is full", "Free some space or set TOKENFORGE_HOME to another folder"
    if match := _MISSING.search(flat):
        return f"{next(filter(None, match.groups())).strip(',`')} cannot be had", _PACKAGE_ADVICE
    if re.search(r"error sending request|dns error|Connection refused|Failed to fetch", flat):
        return f"a package could not be fetched; {_tail(flat)}", "Check the network to your package index"
    return _tail(flat), "Run it again, or install the package by hand to see more"


_MISSING = re.compile(
    r"[Bb]ecause there (?:is|are) no versions? of (\S+)"
    r"|[Bb]ecause only [^,]*? (?:is|are) available and you require (\S+)"
    r"|[Bb]ecause (\S+) was not found in the "
)
_PACKAGE_ADVICE = "Check the version's name, or name a place that has it in PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL"


def _tail(flat: str) -> str:
    return flat if len(flat) <= 400 else "..." + flat[-400:]
