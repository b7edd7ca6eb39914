"""Train a real tokenizer for a synthetic model, from text that every Python carries.

Byte-level BPE on Python's own documentation topics: nothing to download, nothing to license, and the same bytes for the
same Python. The text is too short to teach more than about nine thousand tokens, so for a larger vocabulary the rest is
filled with entries that decode to text but that no text encodes to: every id a random model emits then gives text, as a
real model's would, and no stream has silent tokens.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tokenforge.models.shapes import BOS_ID, EOS_ID, PAD_ID, START_ID
from tokenforge.models.tokenizers import (
    GENERATION_CONFIG_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, BOS, EOS, START = "<|pad|>", "<|bos|>", "<|eos|>", "<|start|>"
SPECIAL_TOKENS = {PAD: PAD_ID, BOS: BOS_ID, EOS: EOS_ID, START: START_ID}
_MOST_TRAINED = 8192  # near what the text can teach; beyond it merges are of single words
_SPACE = "Ġ"  # the byte-level alphabet's letter for a space
# Contractions, words with one mark before them, single digits, marks, line ends, spaces. Qwen2's loader imposes this
# very split whatever tokenizer.json says, so every shape uses it: ids are then the same in all engines.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|start|>{{ message['role'] }}\n{{ message['content'] }}<|eos|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def train_tokenizer(vocab_size: int) -> "Tokenizer":
    """A tokenizer of exactly `vocab_size` ids, the special ones first. Takes under a second."""
    from tokenizers import Tokenizer

    trained = _train(min(vocab_size, _MOST_TRAINED))
    if trained.get_vocab_size() == vocab_size:
        return trained
    document = json.loads(trained.to_str())
    vocab: dict[str, int] = document["model"]["vocab"]
    vocab.update({f"{_SPACE}w{token_id}": token_id for token_id in range(len(vocab), vocab_size)})
    return Tokenizer.from_str(json.dumps(document))


def save_tokenizer(folder: Path, *, vocab_size: int, window: int) -> None:
    """Train, and write the files that `AutoTokenizer` and the engines read."""
    tokenizer = train_tokenizer(vocab_size)
    (folder / TOKENIZER_FILE).write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    _write_json(folder / TOKENIZER_CONFIG_FILE, _tokenizer_config(window))
    ids = {"bos_token_id": BOS_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID}
    _write_json(folder / GENERATION_CONFIG_FILE, ids)


def _train(vocab_size: int) -> "Tokenizer":
    from pydoc_data.topics import topics

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=sorted(SPECIAL_TOKENS, key=SPECIAL_TOKENS.__getitem__),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((topics[name] for name in sorted(topics)), trainer=trainer)
    return tokenizer


def _tokenizer_config(window: int) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": window,
        "pad_token": PAD,
        "bos_token": BOS,
        "eos_token": EOS,
        "unk_token": EOS,  # never met: bytes cover all text; unset, Qwen2's loader adds a token beyond the vocabulary
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
