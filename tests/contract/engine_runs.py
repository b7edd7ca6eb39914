"""Real engines run the checks in their own environments, each once a session; what came of it is kept here."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes import transformers, vllm
from tokenforge.runtimes.base import RuntimePlug
from tokenforge.runtimes.environments import ensure_environment
from tokenforge.settings import Settings

RUN_LIMIT_S = 420
ENGINES: dict[str, tuple[RuntimePlug, Mapping[str, object]]] = {
    "vllm": (vllm.PLUG, {"max_num_seqs": 4}),
    "transformers": (transformers.PLUG, {"max_requests_per_batch": 4}),
    "transformers-paged": (
        transformers.PLUG,
        {"max_requests_per_batch": 4, "batching": "paged", "cuda_graphs": True, "prefill_graphs": True},
    ),
}
"""Each engine with four slots, so that a slot that is not freed is soon missed."""


@dataclass(slots=True)
class Engines:
    """Results by (runtime, model); a run happens when first asked for."""

    models: Callable[[str], Path]
    outputs: Path
    python: str | None
    settings: Settings
    known: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def result(self, runtime: str, model: str) -> Mapping[str, Any]:
        """What `run_conformance.py` wrote. Fails with the end of the engine's log when it wrote nothing."""
        if (runtime, model) not in self.known:
            self.known[runtime, model] = self._run(runtime, model)
        return self.known[runtime, model]

    def _run(self, runtime: str, model: str) -> Mapping[str, Any]:
        plug, engine_args = ENGINES[runtime]
        python, process_env = self.environment(plug)
        out = self.outputs / f"{runtime}-{model}.json"
        command = [
            *(python, str(Path(__file__).with_name("run_conformance.py"))),
            *("--plug", f"tokenforge.runtimes.{plug.name}:PLUG", "--model", str(self.models(model))),
            *("--out", str(out), "--engine-args", json.dumps(dict(engine_args))),
        ]
        log = out.with_suffix(".log")
        with log.open("wb") as sink:
            subprocess.run(command, stdout=sink, stderr=sink, env=process_env, timeout=RUN_LIMIT_S, check=False)
        if not out.exists():
            pytest.fail("\n".join(log.read_text(errors="replace").splitlines()[-40:]))
        result: Mapping[str, Any] = json.loads(out.read_text())
        return result

    def environment(self, plug: RuntimePlug) -> tuple[str, dict[str, str]]:
        """The Python that has the plug's engine (its environment is made when missing), and its process environment."""
        recipe = plug.recipe(None, Accelerator.CPU)
        base = {**self.settings.child_env, **recipe.process_env, "HF_HUB_OFFLINE": "1"}
        if self.python is not None:
            return self.python, {**base, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        made = ensure_environment(
            recipe,
            runtime=plug.name,
            home=self.settings.home,
            find_links=self.settings.find_links,
            extra_indexes=self.settings.extra_indexes,
            accelerator=Accelerator.CPU,
            base_env=self.settings.child_env,
            on_progress=lambda line: print(line, file=sys.stderr),
        )
        return str(made.python), base
