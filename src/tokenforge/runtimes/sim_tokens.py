"""Tokens and chances of the simulator: each depends on its arguments alone, never on time, order or company."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tokenforge.domain.generation import Sampling
from tokenforge.models.tokenizers import TOKENIZER_FILE, load_tokenizer, read_json

_NO_MODEL_VOCAB = 2_048
_NO_MODEL_WINDOW = 2_048
_EOS_ONE_IN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SimVocabulary:
    """What may be said: `ids` that stand for text, the end token if there is one, and the model's window."""

    ids: tuple[int, ...]
    eos_id: int | None
    size: int
    window: int

    def pick(self, root: bytes, position: int, sampling: Sampling) -> int:
        """The token at `position` of the answer to the prompt of `root`; greedy ignores the request's seed."""
        salt = "greedy" if sampling.temperature == 0 else f"seed {sampling.seed}"
        chance = chance_of(root, f"{position}/{salt}")
        may_end = self.eos_id is not None and not sampling.ignore_eos and position >= sampling.min_tokens
        if may_end and self.eos_id is not None and chance_of(root, f"end {position}/{salt}") < 1 / _EOS_ONE_IN:
            return self.eos_id
        return self.ids[int(chance * len(self.ids))]


def read_vocabulary(folder: Path) -> SimVocabulary:
    """The ids of the model's tokenizer and its window; plain numbers where there is no model."""
    if not (folder / TOKENIZER_FILE).is_file():
        ids = tuple(range(1, _NO_MODEL_VOCAB))
        return SimVocabulary(ids=ids, eos_id=0, size=_NO_MODEL_VOCAB, window=_NO_MODEL_WINDOW)
    tokenizer = load_tokenizer(folder)
    told = read_json(folder / "config.json").get("max_position_embeddings")
    return SimVocabulary(
        ids=tokenizer.plain_ids,
        eos_id=min(tokenizer.eos_ids, default=None),
        size=tokenizer.vocab_size,
        window=told if isinstance(told, int) else _NO_MODEL_WINDOW,
    )


def root_of(seed: int, prompt_ids: tuple[int, ...]) -> bytes:
    """What all chances of one prompt grow from; made once for a request, since prompts are long."""
    return hashlib.blake2b(f"{seed}|{prompt_ids}".encode(), digest_size=16).digest()


def chance_of(root: bytes, purpose: str) -> float:
    """A number in [0, 1), to all appearance random."""
    digest = hashlib.blake2b(purpose.encode(), key=root, digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2.0**48
