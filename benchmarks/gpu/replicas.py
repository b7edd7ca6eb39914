"""Replicas with a GPU each behind the gateway, beside one engine over all of these GPUs (tensor parallel).

    PYTHONPATH=benchmarks python -m gpu.replicas --runtime vllm@0.25.1 --gpus 2 --out runs/replicas

Starts `tokenforge up`, and for each layout deploys it, offers closed loops of clients through the gateway and removes
it: `replicas` is N replicas with one GPU each, `tensor-parallel` one replica over N, `one` a single replica on one GPU.
All are asked through the same gateway, so what it costs is in all of them. Prompts share nothing, so routing is by
least load. `OUT/LAYOUT/` holds record, report and layout.json (the GPUs of each replica); `OUT/small.json` what is
printed. A layout that fails is told and left out. Without a GPU none is asked for: that tries the paths, no more.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu.calling import call
from gpu.platform import Platform, platform
from gpu.servers import NotUp
from gpu.sides import Load, Side
from gpu.small import small_record
from gpu.table import table_text
from tokenforge.bench.environment import detect_accelerator
from tokenforge.domain.runtime import Accelerator
from tokenforge.settings import read_settings

_START_LIMIT_S = 420.0
_LEAST_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How so many GPUs are used: `replicas` engines over `gpus` each."""

    name: str
    replicas: int
    gpus: int

    def body(self, asked: argparse.Namespace, *, has_gpu: bool) -> dict[str, object]:
        """The deployment, as `POST /deploy` takes it."""
        return {
            "model": asked.model,
            "runtime": asked.runtime,
            "name": self.name,
            "replicas": self.replicas,
            "tensor_parallel": self.gpus,
            "max_model_len": asked.window,
            "routing": "least_load",
            "engine_args": asked.args,
            **({"resources": {"gpu": self.gpus}} if has_gpu else {}),
        }


def layouts(gpus: int) -> dict[str, Layout]:
    """Those that use `gpus`, and a single one to compare with."""
    made = (
        Layout(name="one", replicas=1, gpus=1),
        Layout(name="replicas", replicas=gpus, gpus=1),
        Layout(name="tensor-parallel", replicas=1, gpus=gpus),
    )
    return {one.name: one for one in made}


def main() -> int:
    """Run every layout; 0 when all gave numbers."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + asked.limit_s
    records: list[tuple[str, Any]] = []
    with platform(asked.out, home=read_settings().home) as there:
        for name in asked.layout:
            try:
                records.append((name, _measure(there, layouts(asked.gpus)[name], asked, until=until)))
            except NotUp as error:
                print(f"{name}: {error}", file=sys.stderr)
    small = small_record("replicas", records)
    (asked.out / "small.json").write_text(json.dumps(small, indent=1) + "\n", encoding="utf-8")
    print(table_text(small["points"]))
    return 0 if len(records) == len(asked.layout) else 1


def _measure(there: Platform, layout: Layout, asked: argparse.Namespace, *, until: float) -> Mapping[str, Any]:
    """Its record. Raises NotUp when it does not come up, or gives no numbers before `until`."""
    has_gpu = detect_accelerator() is Accelerator.CUDA
    print(f"{layout.name}: {layout.replicas} x {layout.gpus}", file=sys.stderr, flush=True)
    limit_s = min(_START_LIMIT_S, until - time.monotonic())
    try:
        seen = there.deploy(layout.body(asked, has_gpu=has_gpu), limit_s=limit_s)
        folder = asked.out / layout.name
        file = asked.out / f"{layout.name}.yaml"
        file.write_text(_benchmark(there, layout, asked), encoding="utf-8")
        words = ["bench", str(file), "--out", str(folder), "--no-calibration"]
        left_s = max(_LEAST_S, until - time.monotonic())
        call(words, log=asked.out / f"{layout.name}.log", limit_s=left_s)
        if not (folder / "record.json").is_file():
            raise NotUp(f"no numbers; see {layout.name}.log")
        facts = json.dumps(_facts(there, layout, seen), indent=1)
        (folder / "layout.json").write_text(facts + "\n", encoding="utf-8")
        record: Mapping[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        return record
    finally:
        there.delete(layout.name)


def _benchmark(there: Platform, layout: Layout, asked: argparse.Namespace) -> str:
    """The load, sent to the deployment's own address at the gateway."""
    load = Load(
        concurrency=asked.concurrency, prompt_len=asked.prompt_len, gen_tokens=asked.gen_tokens, seconds=asked.seconds
    )  # fmt: skip
    args = {"base_url": f"{there.url}/deployments/{layout.name}/v1", "model": asked.model}
    side = Side(name=layout.name, runtime="openai", engine_args=args)
    return side.benchmark(load, model=asked.model, trials=asked.trials, window=asked.window, gpus=asked.gpus)


def _facts(there: Platform, layout: Layout, seen: Mapping[str, Any]) -> dict[str, object]:
    """What was deployed, as the platform told it, and how many requests each replica got."""
    replicas = [
        {"engine": one["engine"], "gpus": one.get("gpus", []), "requests": there.served(layout.name, one["id"])}
        for one in seen["observed"]["replicas"]
    ]
    return {"layout": layout.name, "runtime": seen["runtime"], "gpus_each": layout.gpus, "replicas": replicas}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu.replicas", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="synthetic:llama-3-8b")
    parser.add_argument("--runtime", required=True, help="NAME@VERSION, whose environment is there")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--layout", nargs="+", choices=list(layouts(2)), default=["replicas", "tensor-parallel"])
    parser.add_argument("--args", type=json.loads, default={}, help="engine arguments of all, as JSON")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--prompt-len", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long a trial of one point is to last")
    parser.add_argument("--window", type=int, default=2048, help="max_model_len")
    parser.add_argument("--limit-s", type=float, default=540.0, help="begin nothing new after so long")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
