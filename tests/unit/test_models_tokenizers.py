"""The trained tokenizer and its reader."""

import json
from pathlib import Path

import pytest
from jinja2 import Environment

from tokenforge.domain.errors import NotFound
from tokenforge.models.tokenizer_training import CHAT_TEMPLATE, save_tokenizer, train_tokenizer
from tokenforge.models.tokenizers import ModelTokenizer, load_tokenizer

HARD_TEXT = "Hello, world: é漢🙂\n\n  def f(x):\treturn x\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(place, vocab_size=1024, window=512)
    return place


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> ModelTokenizer:
    return load_tokenizer(folder)


def test_any_text_comes_back_as_it_was(tokenizer: ModelTokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode(HARD_TEXT)) == HARD_TEXT


def test_encoding_adds_no_special_token(tokenizer: ModelTokenizer) -> None:
    assert not tokenizer.special_ids & set(tokenizer.encode(HARD_TEXT))
    assert tokenizer.encode("") == []


def test_special_tokens_have_the_ids_that_the_configs_name(tokenizer: ModelTokenizer) -> None:
    assert tokenizer.special_ids == {0, 1, 2, 3}
    assert tokenizer.eos_ids == {2}


def test_special_tokens_vanish_from_text_unless_asked_for(tokenizer: ModelTokenizer) -> None:
    ids = [1, *tokenizer.encode("ab"), 2]
    assert tokenizer.decode(ids) == "ab"
    assert tokenizer.decode(ids, skip_special=False) == "<|bos|>ab<|eos|>"


def test_plain_ids_are_ascending_and_hold_no_special(tokenizer: ModelTokenizer) -> None:
    assert list(tokenizer.plain_ids) == sorted(set(tokenizer.plain_ids))
    assert not tokenizer.special_ids & set(tokenizer.plain_ids)
    assert len(tokenizer.plain_ids) > 800


def test_every_plain_id_is_whole_text_that_encodes_back_to_it(tokenizer: ModelTokenizer) -> None:
    texts = [tokenizer.decode([token_id]) for token_id in tokenizer.plain_ids]
    assert all(text and "\ufffd" not in text for text in texts)
    assert [tokenizer.encode(text) for text in texts] == [[token_id] for token_id in tokenizer.plain_ids]


def test_bytes_of_a_split_character_are_not_plain(tokenizer: ModelTokenizer) -> None:
    pieces = tokenizer.encode("🙂")
    assert len(pieces) == 4
    assert not set(pieces) & set(tokenizer.plain_ids)


def test_training_twice_gives_the_same_bytes(folder: Path) -> None:
    again = train_tokenizer(1024).to_str(pretty=False)
    assert (folder / "tokenizer.json").read_text(encoding="utf-8") == again


def test_a_large_vocabulary_is_filled_with_ids_that_decode_but_are_never_encoded() -> None:
    tokenizer = train_tokenizer(20_000)
    assert tokenizer.get_vocab_size() == 20_000
    assert tokenizer.decode([19_999]) == " w19999"
    assert 19_999 not in tokenizer.encode(" w19999").ids


def test_the_chat_template_marks_turns_and_opens_the_answer(tokenizer: ModelTokenizer) -> None:
    assert tokenizer.chat_template == CHAT_TEMPLATE
    messages = [{"role": "user", "content": "hi"}]
    text = (
        Environment(autoescape=False).from_string(CHAT_TEMPLATE).render(messages=messages, add_generation_prompt=True)
    )
    assert text == "<|start|>user\nhi<|eos|>\n<|start|>assistant\n"


def test_marks_of_the_chat_template_become_special_ids(tokenizer: ModelTokenizer) -> None:
    ids = tokenizer.encode("<|start|>user\nhi<|eos|>\n")
    assert ids[0] == 3
    assert 2 in ids


def test_a_template_in_a_file_of_its_own_wins(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, vocab_size=300, window=64)
    (tmp_path / "chat_template.jinja").write_text("from file", encoding="utf-8")
    assert load_tokenizer(tmp_path).chat_template == "from file"


def test_the_default_of_several_named_templates_is_taken(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, vocab_size=300, window=64)
    named = [{"name": "tool_use", "template": "A"}, {"name": "default", "template": "B"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert load_tokenizer(tmp_path).chat_template == "B"


def test_a_model_may_have_several_ends(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, vocab_size=300, window=64)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 3]}))
    assert load_tokenizer(tmp_path).eos_ids == {2, 3}


def test_without_configs_the_tokenizers_own_end_counts(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, vocab_size=300, window=64)
    (tmp_path / "generation_config.json").unlink()
    assert load_tokenizer(tmp_path).eos_ids == {2}


def test_a_tokenizer_without_a_template_or_an_end_says_so(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, vocab_size=300, window=64)
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    bare = load_tokenizer(tmp_path)
    assert bare.chat_template is None
    assert bare.eos_ids == frozenset()


def test_a_folder_without_a_tokenizer_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"has no tokenizer\.json.*save_pretrained"):
        load_tokenizer(tmp_path)


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(NotFound, match="is not a tokenizer"):
        load_tokenizer(tmp_path)


def test_a_config_that_is_not_json_is_named(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, vocab_size=300, window=64)
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(NotFound, match=r"generation_config\.json is not JSON"):
        load_tokenizer(tmp_path)
