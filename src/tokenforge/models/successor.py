"""`synthetic:successor`: a model whose output is known in closed form, to test engines against truth.

Attention and feed-forward write nothing (`o_proj` and `down_proj` are zero), so the last hidden state is the embedding
of the last token, a unit vector. The output head's row for succ(t) is E[t], so the most likely next token after t is
succ(t), by a wide margin and whatever came before. succ walks a ring over the whole vocabulary:

    newline -> the known text -> eos -> every other id -> newline

The chat template ends a prompt with a newline, so a chat answer is the whole text; a prompt that ends on a word of the
text is continued from there. The text holds characters of two, three and four bytes, each byte a token of its own, so a
detokeniser that splits characters is caught. It tests plumbing, not arithmetic: attention may be wrong and go unseen.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenforge.models.shapes import EOS_ID
from tokenforge.models.tensors import EMBEDDING, HEAD, Fill, Tensor
from tokenforge.models.tokenizers import ModelTokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HARD_CHARACTERS = "é漢🙂"
SHARPNESS = 4.0
"""Factor on the output head: makes the text all but certain at temperature 1 too, not only when greedy."""

_WORD = re.compile(r" [A-Za-z]{2,}")
_WORDS_BEFORE_HARD = 4
_NEWLINE = "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recital:
    """What the model says. `ring` is every id in the order of succ; `ids` the known text's, without eos."""

    ring: tuple[int, ...]
    ids: tuple[int, ...]
    text: str
    eos_id: int

    def continue_after(self, prompt_ids: Sequence[int], *, max_tokens: int, ignore_eos: bool = False) -> list[int]:
        """The ids generated after a prompt: up to and with eos, or `max_tokens`."""
        place = self.ring.index(prompt_ids[-1])
        said: list[int] = []
        while len(said) < max_tokens and (ignore_eos or not said or said[-1] != self.eos_id):
            place = (place + 1) % len(self.ring)
            said.append(self.ring[place])
        return said

    def prompt_for(self, answer_tokens: int) -> tuple[int, ...]:
        """The shortest prompt (one id) whose answer has exactly `answer_tokens` tokens, eos counted."""
        before_eos = (self.ring[0], *self.ids)
        if not 1 <= answer_tokens <= len(before_eos):
            raise ValueError(f"an answer has 1 to {len(before_eos)} tokens, not {answer_tokens}")
        return (before_eos[-answer_tokens],)


def successor_recital(tokenizer: ModelTokenizer) -> Recital:
    """The recital of the successor model with this tokenizer (`load_tokenizer` of its folder)."""
    (newline,) = tokenizer.encode(_NEWLINE)
    ids = _text_ids(tokenizer)
    used = {newline, EOS_ID, *ids}
    others = (token_id for token_id in range(tokenizer.vocab_size) if token_id not in used)
    ring = (newline, *ids, EOS_ID, *others)
    return Recital(ring=ring, ids=ids, text=tokenizer.decode(ids), eos_id=EOS_ID)


def successor_tensors(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same tensors, with the projections back into the hidden state zero."""
    return tuple(_silence(tensor) for tensor in tensors)


def fill_successor(tensor: Tensor, *, ring: Sequence[int], seed: int) -> Iterator[memoryview]:
    """Embedding and output head of the ring, float32."""
    import numpy as np

    table = _unit_rows(tensor.shape, seed)
    if tensor.name == HEAD:
        head = np.empty_like(table)
        order = np.asarray(ring)
        head[np.roll(order, -1)] = table[order] * np.float32(SHARPNESS)
        table = head
    yield table.data.cast("B")


def is_ring_tensor(tensor: Tensor) -> bool:
    """Whether `fill_successor` fills it."""
    return tensor.name in {EMBEDDING, HEAD}


def _text_ids(tokenizer: ModelTokenizer) -> tuple[int, ...]:
    """Words in alphabetical order, each once, with the hard characters after the first few."""
    words = [(tokenizer.decode([token_id]), token_id) for token_id in tokenizer.plain_ids]
    ordered = [token_id for text, token_id in sorted(words) if _WORD.fullmatch(text)]
    hard = tokenizer.encode(HARD_CHARACTERS)
    return (*ordered[:_WORDS_BEFORE_HARD], *hard, *ordered[_WORDS_BEFORE_HARD:])


def _silence(tensor: Tensor) -> Tensor:
    is_output = tensor.name.endswith(("o_proj.weight", "down_proj.weight"))
    return Tensor(name=tensor.name, shape=tensor.shape, fill=Fill.ZEROS if is_output else tensor.fill)


def _unit_rows(shape: Sequence[int], seed: int) -> "NDArray[np.float32]":
    import numpy as np

    drawn = np.random.default_rng([seed, 0]).standard_normal(tuple(shape))
    unit: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit
