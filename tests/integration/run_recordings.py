"""Record what the Transformers runtime says of several models, in its own environment, one engine after another.

    <environment's python> run_recordings.py CASES.json OUT.pickle

A case is a model folder, a number format, and how far generated tokens' positions are shifted. The first case of each
`group` is the reference whose answers the others score.
"""

import asyncio
import itertools
import json
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenforge.domain.generation import GenerateRequest, Sampling, ScoreRequest
from tokenforge.domain.parity import Answer, Recording, Reference
from tokenforge.domain.runtime import Quant
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.transformers import PLUG, TransformersRuntime

PROMPTS, PROMPT_TOKENS, TOKENS, TOP = 12, 32, 32, 20
_serial = itertools.count()


async def main(cases: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """By case: its Recording, or the Reference where it is the first of its group."""
    references: dict[str, Reference] = {}
    found: dict[str, object] = {}
    for case in cases:
        with shifted(case.get("shift", 0)):
            found[case["name"]] = await record(case, references)
        print(case["name"], flush=True)
    return found


async def record(case: Mapping[str, Any], references: dict[str, Reference]) -> Reference | Recording:
    """One engine from its start to its end."""
    quant = Quant(case["quant"])
    spec = RuntimeSpec(runtime="transformers", model_path=case["folder"], served_name="m", quant=quant)
    runtime = TransformersRuntime(spec)
    info = await runtime.start()
    ids = load_tokenizer(Path(case["folder"])).plain_ids
    prompts = tuple(
        tuple(ids[(n * 7_919 + place * 104_729) % len(ids)] for place in range(PROMPT_TOKENS)) for n in range(PROMPTS)
    )
    reference = references.get(case["group"])

    async def say(batch: int, scored: Sequence[Answer] | None) -> Recording:
        answers = await answers_of(runtime, prompts, batch=batch)
        pairs = zip(prompts, answers if scored is None else scored, strict=True)
        scores = []
        for prompt, answer in pairs:
            given = prompt + (answer.ids or ())
            told = await runtime.score(ScoreRequest(request_id=f"s{next(_serial)}", token_ids=given, top=TOP))
            scores.append(told[len(prompt) - 1 :])
        name, form = case["name"], info.details["dtype"]
        return Recording(runtime=name, number_format=form, batch=batch, answers=answers, scores=tuple(scores))

    if reference is not None:
        made: Reference | Recording = await say(8, reference.alone.answers)
    else:
        alone = await say(1, None)
        batched = await say(8, alone.answers)
        made = Reference(model="m", prompts=prompts, vocab_size=max(ids) + 1, alone=alone, batched=batched)
        references[case["group"]] = made
    await runtime.close(0.0)
    return made


async def answers_of(
    runtime: TransformersRuntime, prompts: Sequence[tuple[int, ...]], *, batch: int
) -> tuple[Answer, ...]:
    """Greedy, `batch` at once."""
    slots = asyncio.Semaphore(batch)

    async def one(prompt: tuple[int, ...]) -> Answer:
        sampling = Sampling(max_tokens=TOKENS, temperature=0.0)
        request = GenerateRequest(request_id=f"g{next(_serial)}", prompt_ids=prompt, sampling=sampling)
        async with slots:
            chunks = [chunk async for chunk in runtime.generate(request)]
        made = tuple(token for chunk in chunks for token in chunk.token_ids)
        finish = chunks[-1].finish
        return Answer(ids=made, text="", finish=None if finish is None else finish.value, output_tokens=len(made))

    return tuple(await asyncio.gather(*(one(prompt) for prompt in prompts)))


@contextmanager
def shifted(places: int) -> Iterator[None]:
    """Generated tokens, which all come after `PROMPT_TOKENS`, at positions that are wrong by `places`."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    right = LlamaRotaryEmbedding.forward

    def wrong(self: Any, x: Any, position_ids: Any, *args: Any, **kwargs: Any) -> Any:
        return right(self, x, position_ids + places * (position_ids >= PROMPT_TOKENS), *args, **kwargs)

    LlamaRotaryEmbedding.forward = wrong if places else right
    try:
        yield
    finally:
        LlamaRotaryEmbedding.forward = right


if __name__ == "__main__":
    assert PLUG.name == "transformers"
    result = asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
    Path(sys.argv[2]).write_bytes(pickle.dumps(result))
