"""`python -m tokenforge.worker SPEC.json`: one engine behind HTTP, as a process that its parent can trust to end.

Exit codes: 0 after a stop that was asked for, 1 when the engine failed (the cause is the last line of the log),
2 when the spec cannot be used.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import uvloop

from tokenforge.domain.errors import TokenForgeError
from tokenforge.domain.observing import TRACE_HEADERS, LogForm, read_trace_headers
from tokenforge.domain.runtime import Accelerator
from tokenforge.domain.worker import WorkerSpec
from tokenforge.protocol.listening import bind
from tokenforge.protocol.worker_spec import Announcement, WorkerPhase, worker_spec_from_json
from tokenforge.runtimes.registry import find_plug
from tokenforge.telemetry.gpus import find_gpus
from tokenforge.telemetry.logs import set_up_logs
from tokenforge.worker.process import Announcer, end_children, hold_lifeline, lead_session, raise_file_limit
from tokenforge.worker.server import serve

_log = logging.getLogger("tokenforge.worker")


def main() -> int:
    """Run the worker; returns its exit code."""
    arguments = _arguments()
    set_up_logs(sys.stderr, process="worker", form=LogForm.PRETTY)
    lead_session()
    raise_file_limit()
    if arguments.lifeline_fd is not None:
        hold_lifeline(arguments.lifeline_fd, _parent_died)
    announcer = Announcer(arguments.announce_fd, arguments.state_file)
    announcer.note(Announcement(port=0, phase=WorkerPhase.STARTING))
    try:
        spec = _with_trace_headers(worker_spec_from_json(arguments.spec.read_bytes()))
        set_up_logs(sys.stderr, process="worker", form=spec.observing.log_form)
        plug = find_plug(spec.runtime.runtime)
        listener = bind(spec.host, spec.port)
    except (TokenForgeError, OSError) as error:
        cause = " ".join(str(error).split())
        code = error.code if isinstance(error, TokenForgeError) else "internal"
        announcer.say(Announcement(port=0, phase=WorkerPhase.FAILED, cause=cause, code=code))
        _log.error("cannot start: %s", cause)
        return 2
    # never closed: closing would wait for an engine that loads in a thread; the process ends by os._exit
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    is_on_gpu = spec.runtime.accelerator is Accelerator.CUDA
    gpus = find_gpus(spec.observing.visible_gpus) if is_on_gpu else ()
    host = runner.run(serve(spec, plug, listener=listener, announcer=announcer, gpus=gpus))
    end_children()
    if host.error is not None:
        _log.error("worker %s ends: %s", spec.name, host.cause)
        return 1
    _log.info("worker %s ends as asked", spec.name)
    return 0


def _with_trace_headers(spec: WorkerSpec) -> WorkerSpec:
    headers = read_trace_headers(os.environ.get(TRACE_HEADERS, ""))
    return replace(spec, observing=replace(spec.observing, trace_headers=headers))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tokenforge.worker", description="Serve one engine over HTTP.")
    parser.add_argument("spec", type=Path, help="a WorkerSpec as JSON")
    parser.add_argument("--lifeline-fd", type=int, help="a pipe whose end of file means that the parent died")
    parser.add_argument("--announce-fd", type=int, help="a pipe for one JSON line a phase")
    parser.add_argument("--state-file", type=Path, help="a file that always holds the latest phase")
    return parser.parse_args()


def _parent_died() -> None:
    _log.warning("the parent died; ending")
    os.kill(os.getpid(), signal.SIGTERM)


def _exit(code: int) -> None:
    """Leave without waiting for an engine's threads; what they wrote is flushed."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _exit(main())
