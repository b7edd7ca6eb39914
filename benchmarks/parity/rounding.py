"""How far bfloat16 and 4-bit weights move a Llama's log-probabilities, by depth: the table of docs/concepts/parity.md.

    <Python of a transformers environment> benchmarks/parity/rounding.py [HIDDENxLAYERS ...]

Random weights, 8 prompts of 32 tokens, 24 greedy tokens each by the float32 model, scored by all. Prints the mean
difference in units of bfloat16's roundoff and of the spread, the divergence likewise, and the largest lead that fell.
"""

import copy
import math
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

PROMPTS, PROMPT_TOKENS, TOKENS, VOCAB, TOP, GROUP = 8, 32, 24, 4096, 20, 64
ROUNDOFF = 2.0**-8


def main(shapes: list[str]) -> None:
    """Each shape: float32 as the reference, bfloat16, 4-bit weights."""
    torch.set_num_threads(1)
    print(f"{'shape':>8} {'against float32':16} {'difference':>10} {'divergence':>10} {'lead':>6}")
    for shape in shapes:
        hidden, layers = map(int, shape.split("x"))
        exact = make_model(hidden, layers)
        prompts = torch.randint(300, VOCAB, (PROMPTS, PROMPT_TOKENS), generator=torch.Generator().manual_seed(1))
        answers = greedy(exact, prompts)
        reference = score(exact, prompts, answers)
        report(shape, "bfloat16", reference, score(copy.deepcopy(exact).bfloat16(), prompts, answers), answers)
        report(shape, "4-bit weights", reference, score(in_four_bits(exact), prompts, answers), answers)


def make_model(hidden: int, layers: int) -> LlamaForCausalLM:
    """Weights as `synthetic:` models have them: normal, spread 0.02."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=hidden, intermediate_size=3 * hidden, num_hidden_layers=layers, head_dim=64,
        num_attention_heads=hidden // 64, num_key_value_heads=max(1, hidden // 128), rms_norm_eps=1e-5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def greedy(model: LlamaForCausalLM, prompts: torch.Tensor) -> torch.Tensor:
    """The tokens after each prompt."""
    options = {"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    return model.generate(prompts, attention_mask=torch.ones_like(prompts), **options)[:, PROMPT_TOKENS:]


@torch.no_grad()
def score(model: LlamaForCausalLM, prompts: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Log-probabilities at each token of the answers: [prompts, tokens, vocabulary]."""
    logits = model(torch.cat([prompts, answers], 1)).logits
    return logits.double()[:, PROMPT_TOKENS - 1 : -1].log_softmax(-1)


@torch.no_grad()
def in_four_bits(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The same with the layers' weights on 15 steps, a scale for each group."""
    changed = copy.deepcopy(model)
    for name, weight in changed.named_parameters():
        if "proj" in name:
            groups = weight.view(-1, GROUP)
            step = groups.abs().amax(1, keepdim=True) / 7
            weight.copy_((torch.round(groups / step) * step).view_as(weight))
    return changed


def report(shape: str, name: str, ours: torch.Tensor, theirs: torch.Tensor, answers: torch.Tensor) -> None:
    """One line."""
    given, top = answers[..., None], ours.topk(TOP, -1)
    spread = float((top.values[..., 0] + math.log(VOCAB)).mean())
    difference = float((ours.gather(-1, given) - theirs.gather(-1, given)).abs().mean())
    p, q = parts(ours, top.indices), parts(theirs, top.indices)
    chance = torch.tensor([1 / VOCAB] * TOP + [(VOCAB - TOP) / VOCAB], dtype=torch.float64)
    share = float((p * (p / q).log()).sum(-1).mean() / (p * (p / chance).log()).sum(-1).mean())
    lead = float((ours.max(-1).values - ours.gather(-1, theirs.argmax(-1)[..., None])[..., 0]).max())
    unit = spread * ROUNDOFF
    print(f"{shape:>8} {name:16} {difference / unit:10.2f} {share / ROUNDOFF**2:10.1f} {lead / unit:6.1f}", flush=True)


def parts(logprobs: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
    """Probabilities of the named tokens and of all the rest."""
    known = logprobs.gather(-1, named).exp()
    return torch.cat([known, 1 - known.sum(-1, keepdim=True)], -1)


if __name__ == "__main__":
    main(sys.argv[1:] or ["256x4", "256x12", "256x32", "768x32", "256x80"])
