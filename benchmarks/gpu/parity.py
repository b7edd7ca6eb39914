"""Do our paged steps say what Transformers' eager attention says? On the device that is here, in one number format.

    PYTHONPATH=benchmarks ENVIRONMENT/bin/python -m gpu.parity --model synthetic:small --quant fp32 --out parity.json

Run it with the Python of a Transformers environment. All prompts are answered at once, greedily, by our steps; the
prompts share their beginning where `--shared` is given. In float32 the answers must be `generate()`'s with eager
attention, token by token. In bf16 no two orders of summing agree, so a referee decides: the same weights in float32
read prompt and answer in one pass and say, at every place, how far below their best the chosen token was (its regret,
in logits). They say the same of eager attention's own bf16 answers, and that is the noise of the number format: ours
may miss no more often and no further than that, within chance (`judged`).
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu.regret import Regrets, judged
from tokenforge.bench.environment import detect_accelerator
from tokenforge.domain.generation import GenerateRequest, Sampling
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import Quant
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.resolve import resolve_model
from tokenforge.runtimes.transformers import TransformersRuntime
from tokenforge.settings import read_settings

Ids = tuple[int, ...]


def main() -> int:
    """Answer, read, judge, write. 0 when it passes."""
    asked = _arguments()
    settings = read_settings()
    resolved = resolve_model(parse_model(asked.model, field="--model"), home=settings.home, offline=True)
    prompts = _prompts(asked, vocab=resolved.architecture.vocab)
    spec = RuntimeSpec(
        runtime="transformers", model_path=str(resolved.folder), served_name=asked.model,
        accelerator=detect_accelerator(), quant=Quant(asked.quant), max_model_len=asked.window,
        engine_args={"batching": "paged", **asked.args},
    )  # fmt: skip
    answers, details, hits = asyncio.run(_ask(spec, prompts, tokens=asked.tokens))
    reference, ours, floor = _reference(asked, spec.model_path, prompts, answers)
    equal = sum(one == other for one, other in zip(answers, reference, strict=True))
    found = {
        "model": asked.model, "quant": asked.quant, "engine_args": asked.args, "details": details,
        "prompts": len(prompts), "prompt_tokens": sorted({len(prompt) for prompt in prompts}), "tokens": asked.tokens,
        "prefix_hits": hits, "equal_answers": equal, "ours": ours.told(), "floor": floor.told(),
        **judged(ours, floor, is_exact=asked.quant == "fp32", equal=equal, answers=len(answers)),
    }  # fmt: skip
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if found["passes"] else 1


async def _ask(spec: RuntimeSpec, prompts: Sequence[Ids], *, tokens: int) -> tuple[list[Ids], Any, int | None]:
    """The answers of all prompts at once, what the runtime said of itself, and tokens that it had already."""
    runtime = TransformersRuntime(spec)
    info = await runtime.start()
    sampling = Sampling(max_tokens=tokens, temperature=0.0, ignore_eos=True)

    async def answer(number: int) -> Ids:
        request = GenerateRequest(request_id=str(number), prompt_ids=prompts[number], sampling=sampling)
        return tuple([token async for chunk in runtime.generate(request) for token in chunk.token_ids])

    answers = list(await asyncio.gather(*(answer(number) for number in range(len(prompts)))))
    hits = runtime.stats().prefix_hits
    await runtime.close(5.0)
    return answers, dict(info.details), hits


def _reference(
    asked: argparse.Namespace, folder: str, prompts: Sequence[Ids], answers: Sequence[Ids]
) -> tuple[list[Ids], Regrets, Regrets]:
    """Eager attention's own answers, and a float32 referee's regrets over ours and over those."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[asked.quant]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    model = model.to(device).eval()

    def made(prompt: Ids) -> Ids:
        ids = torch.tensor([prompt], device=device)
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=asked.tokens,
            min_new_tokens=asked.tokens, do_sample=False, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        return tuple(out[0, len(prompt) :].tolist())

    def regrets(prompt: Ids, answer: Ids) -> list[float]:
        ids = torch.tensor([(*prompt, *answer[:-1])], device=device)
        logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 :].float()
        chosen = logits.gather(1, torch.tensor(answer, device=device)[:, None])[:, 0]
        return [float(value) for value in (logits.max(dim=1).values - chosen).tolist()]

    with torch.inference_mode():
        own = [made(prompt) for prompt in prompts]
        model.float()
        pairs = ((answers, Regrets()), (own, Regrets()))
        for said, kept in pairs:
            for prompt, answer in zip(prompts, said, strict=True):
                kept.add(regrets(prompt, answer))
    return own, pairs[0][1], pairs[1][1]


def _prompts(asked: argparse.Namespace, *, vocab: int) -> list[Ids]:
    """Prompts of ids from all over the vocabulary, of several lengths; `--shared` first tokens are equal."""
    import numpy as np

    chance = np.random.default_rng(asked.seed)
    start = tuple(int(token) for token in chance.integers(10, vocab - 1, asked.shared))
    lengths = [asked.lengths[number % len(asked.lengths)] for number in range(asked.prompts)]
    return [(*start, *(int(token) for token in chance.integers(10, vocab - 1, length))) for length in lengths]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu.parity", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="synthetic:llama-3-8b")
    parser.add_argument("--quant", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--lengths", type=int, nargs="+", default=[5, 64, 130, 300])
    parser.add_argument("--shared", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--args", type=json.loads, default={}, help="more engine arguments, as JSON")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
