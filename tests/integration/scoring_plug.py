"""A runtime plug for tests: the simulator, able to score. Token t has the log-probability -t / 1000.

`install` writes it as a package of its own, with an entry point, so a worker finds it as it finds any plug.
"""

from pathlib import Path

_MODULE = """
import dataclasses
from tokenforge.domain.errors import EngineDead
from tokenforge.domain.generation import TokenLogprob
from tokenforge.runtimes.sim import PLUG as SIM, SimRuntime

class Scoring(SimRuntime):
    def _describe(self, spec):
        info = super()._describe(spec)
        return dataclasses.replace(info, capabilities=dataclasses.replace(info.capabilities, prompt_logprobs=True))

    async def score(self, request):
        if 404 in request.token_ids:
            raise EngineDead("died over a score, as told")
        top = tuple((token, -token / 1000) for token in range(1, request.top + 1))
        return tuple(TokenLogprob(token_id=t, logprob=-t / 1000, top=top) for t in request.token_ids[1:])

PLUG = dataclasses.replace(SIM, name="scoring", build=Scoring)
"""


def install(folder: Path) -> Path:
    """Write the package; returns the folder to put on PYTHONPATH."""
    info = folder / "scoring_plug_for_tests-1.dist-info"
    info.mkdir(parents=True)
    (folder / "scoring_plug_for_tests.py").write_text(_MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scoring-plug-for-tests\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tokenforge.runtimes]\nscoring = scoring_plug_for_tests:PLUG\n")
    return folder
