"""What runs in a pod of drivers: `driver-pod JOB` takes the share of its number, offers it, brings its journal."""

import asyncio
import signal
import sys

from tokenforge import __version__
from tokenforge.bench.cluster.pod import DriverPod, Seat
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.settings import read_settings
from tokenforge.store.blobs.opening import open_shelf


def run(job: str) -> int:
    """Its status: 0 when its journal is whole. Raises InvalidInput where the pod was told too little."""
    settings = read_settings()
    if settings.artifacts_url is None or settings.seat is None:
        name = "TOKENFORGE_ARTIFACTS_URL" if settings.artifacts_url is None else "JOB_COMPLETION_INDEX"
        fault = Fault(field=name, value=None, message="is not set", hint="this command is for pods of a Job of drivers")
        raise InvalidInput([fault], source="environment")
    shelf = open_shelf(settings.artifacts_url, env=settings.s3_env, folder=shelf_name(job))
    index, pod, life, node = settings.seat
    seat = Seat(index=index, life=life, pod=pod, node=node, version=__version__)

    async def work() -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await DriverPod(shelf, seat, stop).run()

    code = asyncio.run(work())
    print(f"share {index} of {job} ended with {code}", file=sys.stderr)
    return code


def shelf_name(job: str) -> str:
    """Where a Job's shares and journals lie in the artifact store."""
    return f"drivers/{job}"
