"""A disk that takes no more: what serves goes on, what cannot be kept is refused by name, and room mends everything."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
from platform_rig import Up, up, wait_for

INFER = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 3}


@contextlib.contextmanager
def full_disk(platform: Up) -> Iterator[None]:
    """No file of any process of it may grow beyond a page."""
    processes = [platform.part("gateway"), platform.part("control"), *platform.workers()]
    for process in processes:
        process.rlimit(psutil.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    yield
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def is_answered(platform: Up) -> bool:
    return platform.call("POST", "/infer", INFER)[0] == 200


def test_what_serves_goes_on_and_what_died_meanwhile_is_replaced_once_there_is_room(tmp_path: Path) -> None:
    with up(tmp_path / "home") as platform:
        assert platform.run("deploy", "synthetic:tiny", "--runtime", "sim", "--name", "tiny").returncode == 0
        parts = {platform.part("gateway").pid, platform.part("control").pid}
        with full_disk(platform):
            assert is_answered(platform)
            status, problem = platform.call("POST", "/deploy", {"model": "synthetic:tiny", "runtime": "sim"})
            assert (status, problem["code"]) == (500, "store_failed")
            for worker in platform.workers():
                worker.kill()
            wait_for(lambda: not is_answered(platform), limit_s=10)
            assert platform.call("POST", "/infer", INFER)[1]["code"] == "not_ready"
        wait_for(lambda: is_answered(platform), limit_s=20)
        assert {platform.part("gateway").pid, platform.part("control").pid} == parts
        assert [one["name"] for one in platform.call("GET", "/deployments")[1]["deployments"]] == ["tiny"]
