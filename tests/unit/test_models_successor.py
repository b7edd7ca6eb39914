"""The successor model: its closed form, computed here from its files in plain numpy."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from tokenforge.models.successor import HARD_CHARACTERS, Recital, successor_recital
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import ModelTokenizer, load_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("successor", tmp_path_factory.mktemp("made") / "successor")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> ModelTokenizer:
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def recital(tokenizer: ModelTokenizer) -> Recital:
    return successor_recital(tokenizer)


@pytest.fixture(scope="module")
def logits(folder: Path) -> NDArray[np.float32]:
    """Row t: what the model's last layer says after token t, attention and feed-forward being silent."""
    weights = load_file(folder / "model.safetensors")
    hidden = weights["model.embed_tokens.weight"]
    hidden = hidden / np.sqrt((hidden**2).mean(axis=1, keepdims=True) + 1e-5)
    table: NDArray[np.float32] = (hidden * weights["model.norm.weight"]) @ weights["lm_head.weight"].T
    return table


def test_every_token_is_followed_by_its_successor(recital: Recital, logits: NDArray[np.float32]) -> None:
    ring = np.array(recital.ring)
    assert (logits[ring].argmax(axis=1) == np.roll(ring, -1)).all()


def test_no_other_token_comes_near(logits: NDArray[np.float32]) -> None:
    first_two = np.sort(logits, axis=1)[:, -2:]
    assert (first_two[:, 1] - first_two[:, 0]).min() > 25


def test_nothing_else_writes_to_the_hidden_state(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    outputs = [value for name, value in weights.items() if name.endswith(("o_proj.weight", "down_proj.weight"))]
    assert len(outputs) == 4
    assert not any(value.any() for value in outputs)


def test_the_ring_visits_every_id_once(recital: Recital, tokenizer: ModelTokenizer) -> None:
    assert sorted(recital.ring) == list(range(tokenizer.vocab_size))


def test_the_text_is_what_its_ids_decode_to_and_splits_characters(recital: Recital, tokenizer: ModelTokenizer) -> None:
    assert HARD_CHARACTERS in recital.text
    assert len(recital.ids) > 500
    assert tokenizer.decode([*recital.ids, recital.eos_id]) == recital.text


def test_a_chat_prompt_is_answered_with_the_whole_text(recital: Recital, tokenizer: ModelTokenizer) -> None:
    prompt = tokenizer.encode("<|start|>user\nhi<|eos|>\n<|start|>assistant\n")
    answer = recital.continue_after(prompt, max_tokens=2000)
    assert tuple(answer) == (*recital.ids, recital.eos_id)


def test_the_whole_text_fits_into_the_window(recital: Recital) -> None:
    assert len(recital.ids) < 1900


def test_an_answer_ends_at_its_limit(recital: Recital) -> None:
    assert recital.continue_after([recital.ring[0]], max_tokens=5) == list(recital.ids[:5])


def test_ignoring_the_end_goes_on_around_the_ring(recital: Recital) -> None:
    rounds = recital.continue_after([recital.ring[0]], max_tokens=len(recital.ring) + 3, ignore_eos=True)
    assert rounds[-4:] == [recital.ring[0], *recital.ids[:3]]
    assert rounds[: len(recital.ids) + 2] == [*recital.ids, recital.eos_id, recital.ring[len(recital.ids) + 2]]


@pytest.mark.parametrize("tokens", [1, 2, 17])
def test_a_prompt_can_be_had_for_any_length_of_answer(recital: Recital, tokens: int) -> None:
    answer = recital.continue_after(recital.prompt_for(tokens), max_tokens=2000)
    assert len(answer) == tokens
    assert answer[-1] == recital.eos_id


@pytest.mark.parametrize("tokens", [0, 5000])
def test_an_answer_longer_than_the_text_is_refused(recital: Recital, tokens: int) -> None:
    with pytest.raises(ValueError, match="tokens"):
        recital.prompt_for(tokens)
