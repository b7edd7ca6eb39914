"""The child process: `python -m tokenforge.bench.driver JOBFILE`.

Says `ready` on its output once the job is loaded and connections are opening, then reads the origin (i64, monotonic ns)
from its input and offers the load. End of input afterwards means stop. Its error output is for the parent to show.
"""

import os
import resource
import signal
import struct
import sys
from pathlib import Path

from tokenforge.bench.driver.jobfile import ChildJob
from tokenforge.bench.driver.loop import LoadLoop
from tokenforge.bench.driver.priority import take_priority, wake_sharply
from tokenforge.bench.journal import JournalWriter

_ORIGIN = struct.Struct("<q")


def main(path: str) -> int:
    """Run the job at `path`; 0 when its journal is whole."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_many_files()
    job = ChildJob(Path(path))
    journal = JournalWriter(job.journal, trial=job.trial, process=job.process)
    try:
        loop = LoadLoop(job=job, journal=journal, control_fd=0)
        signal.signal(signal.SIGTERM, lambda *_: loop.stop("the driver process was terminated"))
        loop.begin()
        wake_sharply()
        os.write(1, f"ready {take_priority()}\n".encode())
        word = os.read(0, _ORIGIN.size)
        if len(word) == _ORIGIN.size:
            loop.run(*_ORIGIN.unpack(word))
    finally:
        journal.close()
    return 0


def _allow_many_files() -> None:
    """Raise the soft limit on open files to the hard one: every stream is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
