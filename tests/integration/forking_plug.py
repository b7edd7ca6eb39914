"""A runtime plug for tests: the simulator, with a child and a grandchild, as real engines have them.

`install` writes it as a package of its own, with an entry point, so a worker finds it as it finds any plug.
"""

from pathlib import Path

_MODULE = """
import dataclasses, pathlib, subprocess, sys
from tokenforge.runtimes.sim import PLUG as SIM

CHILD = "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"

def build(spec):
    args = dict(spec.engine_args)
    pid_file = pathlib.Path(str(args.pop("pid_file")))
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    pid_file.write_text(f"{child.pid} {child.stdout.readline()}")
    return SIM.build(dataclasses.replace(spec, engine_args=args))

PLUG = dataclasses.replace(SIM, name="forking", build=build)
"""


def install(folder: Path) -> Path:
    """Write the package; returns the folder to put on PYTHONPATH."""
    info = folder / "forking_plug_for_tests-1.dist-info"
    info.mkdir(parents=True)
    (folder / "forking_plug_for_tests.py").write_text(_MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: forking-plug-for-tests\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tokenforge.runtimes]\nforking = forking_plug_for_tests:PLUG\n")
    return folder
