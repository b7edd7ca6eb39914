"""Runs a server's command and ends it when whoever asked for it is gone, however that one died.

    python -I openai_guard.py PROGRAM ARGUMENTS

Standard input is the lifeline: a pipe that only the asker holds open. The guard leads a process group and the server
is in it, so the end of the lifeline ends all of it. Standard library only, and run by path: nothing of ours is loaded.
"""

import os
import signal
import subprocess
import sys
import threading
import time

_GRACE_S = 3.0


def main(words: list[str]) -> int:
    """Run the command to its end; its exit code is ours (128 + number for a signal, 127 when it cannot start)."""
    os.setpgid(0, 0)
    # SIGTERM goes to the whole group: the server ends by it, the guard once the server has ended
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"{words[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return 127
    threading.Thread(target=_end_with_the_lifeline, daemon=True).start()
    code = server.wait()
    return code if code >= 0 else 128 - code


def _end_with_the_lifeline() -> None:
    while os.read(sys.stdin.fileno(), 4_096):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
