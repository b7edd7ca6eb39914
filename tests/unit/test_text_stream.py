"""Text from ids: whole characters, stop strings, and what is cut with them."""

import functools

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tokenforge.domain.generation import Chunk, FinishReason, TokenLogprob, Usage
from tokenforge.runtimes.text import TextStream

BYTES = pre_tokenizers.ByteLevel.alphabet()
EOS = 256


@functools.cache
def byte_tokenizer() -> Tokenizer:
    """One token for each byte, and a special end token: the hardest case for characters of several bytes."""
    by_byte = sorted(BYTES, key=byte_of)
    raw = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(by_byte)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(["<|end|>"])
    return raw


def byte_of(letter: str) -> int:
    """The byte that a letter of the byte-level alphabet stands for."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    code = ord(letter)
    return code if code < 256 else others[code - 256]


def chunk(*ids: int, made: int, finish: FinishReason | None = None) -> Chunk:
    """A chunk of ids after which `made` tokens are complete."""
    return Chunk(token_ids=ids, finish=finish, usage=Usage(prompt_tokens=3, completion_tokens=made), made_ns=0)


def say(stream: TextStream, data: bytes) -> list[Chunk]:
    """Push one byte a chunk, until the stream says it ended."""
    told: list[Chunk] = []
    for place, byte in enumerate(data):
        finish = FinishReason.LENGTH if place == len(data) - 1 else None
        told.append(stream.push(chunk(byte, made=place + 1, finish=finish)))
        if told[-1].finish is not None:
            break
    return told


def text_of(chunks: list[Chunk]) -> str:
    """The text of all chunks."""
    return "".join(one.text for one in chunks)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_comes_back_whole_though_each_byte_is_a_token(text: str) -> None:
    told = say(TextStream(byte_tokenizer()), text.encode())
    assert text_of(told) == text


@given(st.binary(min_size=1, max_size=60))
def test_bytes_that_are_no_text_neither_stop_nor_stall_the_stream(data: bytes) -> None:
    told = say(TextStream(byte_tokenizer()), data + b"the end")
    assert text_of(told).endswith("the end")


def test_no_chunk_holds_half_a_character() -> None:
    told = say(TextStream(byte_tokenizer()), "aé漢🙂".encode())
    assert [one.text for one in told] == ["a", "", "é", "", "", "漢", "", "", "", "🙂"]


def test_half_a_character_at_the_end_is_dropped() -> None:
    told = say(TextStream(byte_tokenizer()), "ab🙂".encode()[:-1])
    assert text_of(told) == "ab"


def test_a_special_token_makes_no_text() -> None:
    stream = TextStream(byte_tokenizer())
    assert stream.push(chunk(ord("a"), EOS, made=2, finish=FinishReason.STOP)).text == "a"


def test_a_character_that_the_prompt_began_is_completed() -> None:
    begun, rest = "é".encode()
    told = TextStream(byte_tokenizer(), prompt_ids=(ord("x"), begun)).push(chunk(rest, ord("!"), made=2))
    assert told.text == "é!"


def test_the_text_ends_before_the_stop_string() -> None:
    told = say(TextStream(byte_tokenizer(), stop=("END",)), b"one two END three")
    assert text_of(told) == "one two "
    assert (told[-1].finish, told[-1].stop_reason) == (FinishReason.STOP, "END")


def test_no_letter_of_a_stop_string_is_shown_early() -> None:
    told = say(TextStream(byte_tokenizer(), stop=("END",)), b"EN END")
    assert [one.text for one in told] == ["", "", "EN ", "", "", ""]


def test_what_only_looked_like_a_stop_string_is_shown_in_the_end() -> None:
    told = say(TextStream(byte_tokenizer(), stop=("END",)), b"the EN")
    assert text_of(told) == "the EN"
    assert told[-1].finish is FinishReason.LENGTH


def test_a_false_start_inside_a_stop_string_does_not_hide_the_true_one() -> None:
    told = say(TextStream(byte_tokenizer(), stop=("aab",)), b"xaaab")
    assert text_of(told) == "xa"
    assert told[-1].finish is FinishReason.STOP


def test_the_first_stop_string_in_the_text_wins() -> None:
    stream = TextStream(byte_tokenizer(), stop=("three", "two"))
    told = stream.push(chunk(*b"one two three", made=13))
    assert (told.text, told.stop_reason) == ("one ", "two")


def test_a_merged_chunk_is_cut_at_the_token_that_completed_the_stop_string() -> None:
    logprobs = tuple(TokenLogprob(token_id=byte, logprob=-1.0) for byte in b"ab!cd")
    merged = chunk(*b"ab!cd", made=25)
    told = TextStream(byte_tokenizer(), stop=("!",)).push(
        Chunk(token_ids=merged.token_ids, logprobs=logprobs, usage=merged.usage, made_ns=0)
    )
    assert told.token_ids == tuple(b"ab!")
    assert len(told.logprobs) == 3
    assert told.usage.completion_tokens == 23


def test_a_stop_string_counts_for_more_than_the_end_it_came_with() -> None:
    told = TextStream(byte_tokenizer(), stop=("c",)).push(chunk(*b"abc", made=3, finish=FinishReason.LENGTH))
    assert told.finish is FinishReason.STOP


def test_a_stop_string_before_min_tokens_does_not_stop() -> None:
    stream = TextStream(byte_tokenizer(), stop=("b",), min_tokens=3)
    told = stream.push(chunk(*b"abcabc", made=6))
    assert told.text == "abca"


def test_an_empty_stop_string_stops_nothing() -> None:
    told = say(TextStream(byte_tokenizer(), stop=("",)), b"abc")
    assert text_of(told) == "abc"


@given(st.text(alphabet="ab", max_size=30), st.text(alphabet="ab", min_size=1, max_size=4), st.integers(1, 5))
def test_chunking_changes_neither_text_nor_ids(text: str, stop: str, size: int) -> None:
    data = (text + "c").encode()
    stream = TextStream(byte_tokenizer(), stop=(stop,))
    told: list[Chunk] = []
    for start in range(0, len(data), size):
        part = data[start : start + size]
        is_last = start + size >= len(data)
        told.append(stream.push(chunk(*part, made=start + len(part), finish=FinishReason.LENGTH if is_last else None)))
        if told[-1].finish is not None:
            break
    whole, found, _ = (text + "c").partition(stop)
    assert text_of(told) == whole
    assert told[-1].finish is (FinishReason.STOP if found else FinishReason.LENGTH)
    assert told[-1].usage.completion_tokens == sum(len(one.token_ids) for one in told) == len(whole + found)
