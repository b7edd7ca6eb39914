"""The child process: `python -m tokenforge.bench.calibration TTFT_NS ITL_NS LOG`.

Says `port N` once it listens; the end of its input means stop, and then the truth is in LOG. It takes the priority that
the driver takes, as a server on another machine would not wait for what else runs here.
"""

import gc
import resource
import signal
import sys
from pathlib import Path

from tokenforge.bench.calibration.null_server import NullServer
from tokenforge.bench.calibration.truth import write_truth
from tokenforge.bench.driver.priority import take_priority


def serve(arguments: list[str], kind: type[NullServer] = NullServer) -> int:
    """Run a null server of `kind` to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = kind(ttft_ns=int(arguments[0]), itl_ns=int(arguments[1]), control_fd=0)
    gc.freeze()
    gc.disable()
    take_priority()
    sys.stdout.write(f"port {server.port}\n")
    sys.stdout.flush()
    server.run()
    write_truth(Path(arguments[2]), server.answers)
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
