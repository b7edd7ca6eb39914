"""A Llama in numpy, small enough to run in a test, whose faults can be planted: the twin of an engine for parity.

Weights are random with a spread at which attention matters, so that positions do. Every matrix product can be rounded
to a number format, as an engine's are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tokenforge.domain.generation import TokenLogprob
from tokenforge.domain.parity import Answer, Recording, Reference, Scores

Array = NDArray[np.float32]

VOCAB, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD, FFN = 384, 96, 3, 4, 2, 24, 192
TOP = 20
_KEPT_BITS = {"float32": 23, "float16": 10, "bfloat16": 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One engine. `decode_shift` is added to the position of generated tokens, `weight_bits` rounds the weights.

    `stretch` scales the sharpness of attention; `number_format` is what it computes in and says.
    """

    number_format: str = "float32"
    theta: float = 10_000.0
    decode_shift: int = 0
    weight_bits: int | None = None
    eos_ids: frozenset[int] = frozenset()
    seed: int = 0
    cache: dict[str, Array] = field(default_factory=dict, repr=False)

    def answers(self, prompts: Sequence[tuple[int, ...]], *, tokens: int) -> tuple[Answer, ...]:
        """Greedy answers, all prompts of one length in one batch, with a cache of keys and values."""
        ids = np.array(prompts)
        state = _State()
        logits = self._forward(ids, np.arange(ids.shape[1]), state)[:, -1]
        made = []
        for step in range(tokens):
            made.append(logits.argmax(-1))
            place = ids.shape[1] + step + self.decode_shift
            logits = self._forward(made[-1][:, None], np.array([place]), state)[:, -1]
        return tuple(self._cut(row.tolist()) for row in np.stack(made, axis=1))

    def scores(self, prompts: Sequence[tuple[int, ...]], answers: Sequence[Answer]) -> tuple[Scores, ...]:
        """Each answer's tokens after its prompt, scored in one pass as a prompt is."""
        pairs = zip(prompts, answers, strict=True)
        return tuple(self.score_all(prompt + (answer.ids or ()))[len(prompt) - 1 :] for prompt, answer in pairs)

    def record(self, prompts: Sequence[tuple[int, ...]], reference: Reference, *, tokens: int) -> Recording:
        """What it says as the candidate of `reference`."""
        return Recording(
            runtime="twin",
            number_format=self.number_format,
            batch=len(prompts),
            answers=self.answers(prompts, tokens=tokens),
            scores=self.scores(prompts, reference.alone.answers),
        )

    def reference(self, prompts: Sequence[tuple[int, ...]], *, tokens: int) -> Reference:
        """What it says as the reference; in a batch it says the same."""
        answers = self.answers(prompts, tokens=tokens)
        alone = Recording(
            runtime="reference", number_format=self.number_format, batch=1, answers=answers,
            scores=self.scores(prompts, answers),
        )  # fmt: skip
        batched = replace(alone, batch=8)
        return Reference(model="twin", prompts=tuple(prompts), vocab_size=VOCAB, alone=alone, batched=batched)

    def score_all(self, tokens: tuple[int, ...]) -> Scores:
        """Each token but the first."""
        ids = np.array([tokens])
        logits = self._forward(ids, np.arange(ids.shape[1]), _State())[0, :-1].astype(np.float64)
        logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return tuple(_row(token, row) for token, row in zip(tokens[1:], logprobs, strict=True))

    def _cut(self, ids: list[int]) -> Answer:
        end = next((place for place, token in enumerate(ids) if token in self.eos_ids), None)
        kept = ids if end is None else ids[: end + 1]
        return Answer(ids=tuple(kept), text="", finish="length" if end is None else "stop", output_tokens=len(kept))

    def _forward(self, ids: NDArray[np.int64], positions: NDArray[np.int64], state: "_State") -> Array:
        x = self._round(self._weight("embed", VOCAB, HIDDEN)[ids] * np.float32(HIDDEN**0.5))
        for layer in range(LAYERS):
            x = self._round(x + self._attention(_norm(x), positions, state, layer=layer))
            h = _norm(x)
            gate = self._times(h, f"{layer}.gate", HIDDEN, FFN)
            up = self._times(h, f"{layer}.up", HIDDEN, FFN)
            x = self._round(x + self._times(self._round(gate / (1 + np.exp(-gate)) * up), f"{layer}.down", FFN, HIDDEN))
        return self._times(_norm(x), "head", HIDDEN, VOCAB)

    def _attention(self, x: Array, positions: NDArray[np.int64], state: "_State", *, layer: int) -> Array:
        batch, length = x.shape[:2]
        q = self._times(x, f"{layer}.q", HIDDEN, HEADS * HEAD).reshape(batch, length, HEADS, HEAD)
        k = self._times(x, f"{layer}.k", HIDDEN, KV_HEADS * HEAD).reshape(batch, length, KV_HEADS, HEAD)
        v = self._times(x, f"{layer}.v", HIDDEN, KV_HEADS * HEAD).reshape(batch, length, KV_HEADS, HEAD)
        q, k = self._rotate(q, positions), self._rotate(k, positions)
        keys, values = state.extend(layer, k, v)
        keys, values = (part.repeat(HEADS // KV_HEADS, axis=2) for part in (keys, values))
        weights = np.einsum("blhd,bthd->bhlt", q, keys) / np.float32(HEAD**0.5)
        past = keys.shape[1] - length
        mask = np.arange(keys.shape[1])[None, :] > np.arange(length)[:, None] + past
        weights = np.exp(np.where(mask, -np.inf, weights - weights.max(-1, keepdims=True)))
        weights = self._round(weights / weights.sum(-1, keepdims=True))
        mixed = self._round(np.einsum("bhlt,bthd->blhd", weights, values)).reshape(batch, length, HEADS * HEAD)
        return self._times(mixed, f"{layer}.o", HEADS * HEAD, HIDDEN)

    def _rotate(self, x: Array, positions: NDArray[np.int64]) -> Array:
        frequencies = self.theta ** (-np.arange(0, HEAD, 2) / HEAD)
        angles = (positions[:, None] * frequencies[None, :])[None, :, None, :].astype(np.float32)
        first, second = x[..., : HEAD // 2], x[..., HEAD // 2 :]
        cos, sin = np.cos(angles), np.sin(angles)
        return self._round(np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1))

    def _times(self, x: Array, name: str, rows: int, columns: int) -> Array:
        return self._round(x @ self._weight(name, rows, columns))

    def _weight(self, name: str, rows: int, columns: int) -> Array:
        if name not in self.cache:
            stream = np.random.default_rng([self.seed, *name.encode()])
            drawn = (stream.standard_normal((rows, columns)) / rows**0.5).astype(np.float32)
            sharp = np.float32(1.6 if name.endswith((".q", ".k")) else 1.0)
            self.cache[name] = self._round(_to_bits(drawn * sharp, self.weight_bits))
        return self.cache[name]

    def _round(self, x: NDArray[np.floating]) -> Array:
        """To the nearest number of the format."""
        dropped = 23 - _KEPT_BITS[self.number_format]
        bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
        if not dropped:
            return bits.view(np.float32)
        half = np.uint32((1 << (dropped - 1)) - 1)
        rounded = bits + half + ((bits >> np.uint32(dropped)) & np.uint32(1))
        return ((rounded >> np.uint32(dropped)) << np.uint32(dropped)).view(np.float32)


@dataclass(slots=True)
class _State:
    """Keys and values by layer."""

    kept: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    def extend(self, layer: int, k: Array, v: Array) -> tuple[Array, Array]:
        if layer in self.kept:
            before_k, before_v = self.kept[layer]
            k, v = np.concatenate([before_k, k], axis=1), np.concatenate([before_v, v], axis=1)
        self.kept[layer] = (k, v)
        return k, v


def _norm(x: Array) -> Array:
    return np.asarray(x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-5)), dtype=np.float32)


def _to_bits(weights: Array, bits: int | None) -> Array:
    """Rounded to whole steps of each column's largest value, as simple weight quantisation does."""
    if bits is None:
        return weights
    step = np.abs(weights).max(axis=0, keepdims=True) / np.float32(2 ** (bits - 1) - 1)
    return np.asarray(np.round(weights / step) * step, dtype=np.float32)


def _row(token: int, logprobs: NDArray[np.float64]) -> TokenLogprob:
    order = np.argsort(-logprobs)[:TOP]
    top = tuple((int(place), float(np.float32(logprobs[place]))) for place in order)
    return TokenLogprob(token_id=token, logprob=float(np.float32(logprobs[token])), top=top)


def some_prompts(count: int = 12, *, length: int = 24, seed: int = 1) -> tuple[tuple[int, ...], ...]:
    """Random prompts."""
    drawn = np.random.default_rng(seed).integers(0, VOCAB, size=(count, length))
    return tuple(tuple(row) for row in drawn.tolist())
