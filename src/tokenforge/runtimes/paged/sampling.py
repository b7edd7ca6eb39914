"""Choose the next token of each row: greedy, or by temperature, top-k and top-p, each row by its own. Needs torch."""

import torch


def choose(
    logits: torch.Tensor, *, temperature: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, cuts: bool
) -> torch.Tensor:
    """Token ids [rows] from logits [rows, vocabulary]; the three options are [rows].

    Temperature 0 takes the first best token. `cuts` False says that no row asks for top-k or top-p, which saves a sort.
    """
    best = logits.argmax(dim=-1)
    scores = logits.float() / temperature.clamp(min=1e-6).unsqueeze(-1)
    if cuts:
        scores = _cut(scores, top_k=top_k, top_p=top_p)
    noise = torch.empty_like(scores).exponential_()
    drawn = (scores.softmax(dim=-1) / noise).argmax(dim=-1)
    return torch.where(temperature > 0, drawn, best)


def _cut(scores: torch.Tensor, *, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Scores with -inf for what top-k, then top-p, leave out. The likeliest token always stays."""
    ordered, order = scores.sort(dim=-1, descending=True)
    rank = torch.arange(scores.shape[-1], device=scores.device)
    ordered = ordered.masked_fill(rank >= top_k.unsqueeze(-1), float("-inf"))
    shares = ordered.softmax(dim=-1)
    before = shares.cumsum(dim=-1) - shares
    is_out = (before >= top_p.unsqueeze(-1)) & (rank > 0)
    ordered = ordered.masked_fill(is_out, float("-inf"))
    return torch.full_like(scores, float("-inf")).scatter_(-1, order, ordered)
