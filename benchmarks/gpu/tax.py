"""What our worker costs: vLLM in it against `vllm serve`, with the same arguments, on the same card, at the same time.

    PYTHONPATH=benchmarks python -m gpu.tax --model synthetic:llama-3-8b --version 0.25.1 --out runs/gpu-tax \\
        --concurrency 32 256 --quads 5 --args '{"gpu_memory_utilization": 0.45}'

Both engines are up from first to last, each with its share of the memory, and take turns in mirrored order (A B B A),
so what the machine does to one it does to the other; the one that waits is checked to be idle. `OUT/small.json` has
the ratios worker / server over quads with their 95 % intervals. Refuses nothing: what is slower is printed as slower.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu.calling import call
from gpu.ratios import RATIOS, ratio_rows, ratios_text
from gpu.servers import free_port, served
from gpu.sides import Load, Side
from gpu.small import small_record
from tokenforge.bench.environment import detect_accelerator
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import Accelerator
from tokenforge.models.resolve import resolve_model
from tokenforge.runtimes.base import Recipe
from tokenforge.runtimes.environments import environment_folder
from tokenforge.runtimes.registry import find_plug
from tokenforge.settings import read_settings

_START_LIMIT_S = 420.0
_RUN_LIMIT_S = 900.0


def main() -> int:
    """Start the server, run the benchmark of both, print the ratios. 0 when every limit of RATIOS holds."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    accelerator = detect_accelerator()
    recipe = find_plug("vllm").recipe(asked.version, accelerator)
    command = _server_command(asked, recipe, accelerator, port=port)
    log = asked.out / "server.log"
    env = {**os.environ, **recipe.process_env}
    with served(command, url=f"{url}/v1/models", log=log, env=env, limit_s=_START_LIMIT_S):
        document = _measure(asked, url)
    rows = ratio_rows(document)
    small = small_record("worker tax", [("both", document)]) | {"ratios": rows}
    (asked.out / "small.json").write_text(json.dumps(small, indent=1) + "\n", encoding="utf-8")
    print(ratios_text(rows))
    return 0 if rows and all(row["holds"] for row in rows if row["metric"] in RATIOS) else 1


def _server_command(asked: argparse.Namespace, recipe: Recipe, accelerator: Accelerator, *, port: int) -> list[str]:
    """`vllm serve` by the environment's own Python. A module is named, because a script may not be there."""
    settings = read_settings()
    folder = environment_folder(recipe, runtime="vllm", home=settings.home, accelerator=accelerator)
    model = resolve_model(parse_model(asked.model, field="--model"), home=settings.home, offline=settings.hub_offline)
    options = {"max_model_len": asked.window, **asked.args}
    serve = ["vllm.entrypoints.cli.main", "serve", str(model.folder)]
    if asked.without_cli:
        serve = ["vllm.entrypoints.openai.api_server", "--model", str(model.folder)]
    return [
        *(str(folder / "bin" / "python"), "-m", *serve),
        *("--served-model-name", asked.model, "--host", "127.0.0.1", "--port", str(port)),
        *(word for name, value in options.items() for word in _option(name, value)),
    ]


def _option(name: str, value: object) -> list[str]:
    """An engine argument as vLLM's command line writes it."""
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{dashed}" if value else f"--no-{dashed}"]
    return [f"--{dashed}", json.dumps(value) if isinstance(value, dict | list) else str(value)]


def _measure(asked: argparse.Namespace, url: str) -> Mapping[str, Any]:
    """One benchmark of both sides: the server is A, the worker is B."""
    load = Load(
        concurrency=asked.concurrency, rates=asked.rates, prompt_len=asked.prompt_len, gen_tokens=asked.gen_tokens,
        seconds=asked.seconds,
    )  # fmt: skip
    side = Side(name="both", runtime=f"vllm@{asked.version}", engine_args=asked.args)
    document = json.loads(side.benchmark(load, model=asked.model, trials=2 * asked.quads, window=asked.window))
    document["runtimes"] = ["openai", *document["runtimes"]]
    document.setdefault("engine_args", {})["openai"] = {"base_url": url, "model": asked.model}
    file = asked.out / "both.yaml"
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    words = ["bench", str(file), "--out", str(asked.out / "both"), "--no-calibration"]
    call(words, log=asked.out / "both.log", limit_s=_RUN_LIMIT_S)
    record: Mapping[str, Any] = json.loads((asked.out / "both" / "record.json").read_text(encoding="utf-8"))
    return record


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu.tax", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="synthetic:llama-3-8b")
    parser.add_argument("--version", required=True, help="of vLLM, whose environment is there")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--args", type=json.loads, default={}, help="engine arguments of both, as JSON")
    parser.add_argument("--concurrency", type=int, nargs="*", default=[32, 256])
    parser.add_argument("--rates", type=float, nargs="*", default=[])
    parser.add_argument("--quads", type=int, default=5)
    parser.add_argument("--prompt-len", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=8.0, help="about how long a trial is to last")
    parser.add_argument("--window", type=int, default=2048, help="max_model_len")
    parser.add_argument("--without-cli", action="store_true", help="start the server's module, where the CLI can't run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
