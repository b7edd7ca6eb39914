"""How the benchmarks here call TokenForge: by this Python, whether it is installed or a checkout on the path.

A call that takes too long, or is interrupted, is asked to end and then waited for: what it measured until then is kept.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_CALL = (sys.executable, "-c", "from tokenforge.cli.main import run; run()")
_CEILINGS_LIMIT_S = 120
_LAST_WORDS_S = 60


def call(words: Sequence[str], *, log: Path, limit_s: float, calling: Sequence[str] = _CALL) -> int:
    """Run `tokenforge WORDS` with its output in `log`; returns its exit code."""
    with log.open("wb") as sink:
        process = subprocess.Popen([*calling, *words], stdout=sink, stderr=sink)
        try:
            return process.wait(limit_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LAST_WORDS_S)
        finally:
            process.kill()
        return process.wait()


def measure_ceilings() -> None:
    """Measure this machine's ceilings and keep them, so that what runs next has its share of them."""
    subprocess.run([*_CALL, "doctor", "--measure"], stdout=subprocess.DEVNULL, check=False, timeout=_CEILINGS_LIMIT_S)
