"""A body as a JSON object, and what is not taken for one."""

from collections.abc import Callable

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.protocol.openai_fields import peek_object, read_object, read_whole_text


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'{"b": [{"a": 1, "a": 1}]}', b'{"a": {}, "b": 1, "a": {}}'])
def test_a_name_that_stands_twice_is_refused_since_others_may_take_the_first(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="it names 'a' twice"):
        read_object(body)
    assert peek_object(body)


@pytest.mark.parametrize("read", [read_object, peek_object])
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": NaN}', b"[" * 10_000, b'{"a":' * 10_000, b'{"a": "\xff"}'])
def test_what_is_no_object_of_json_is_refused(read: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(body)


def test_half_a_surrogate_pair_is_refused_by_the_name_of_its_field() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_whole_text(rb'{"good": "\ud83d\ude00", "bad": ["\ud83d"], "worse": {"\udc00": 1}}')
    assert [fault.field for fault in refused.value.faults] == ["bad", "worse"]


def test_whole_pairs_are_read() -> None:
    assert read_whole_text(rb'{"a": "\ud83d\ude00"}') == {"a": "\N{GRINNING FACE}"}
