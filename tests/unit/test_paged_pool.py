"""Pages that are shared: what is found again, what is used anew, and that nothing is ever held by mistake."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenforge.runtimes.paged.pool import PagePool

PAGE = 4


def pool(pages: int = 9, *, is_sharing: bool = True) -> PagePool:
    """Eight usable pages of four tokens unless said otherwise."""
    return PagePool(pages=pages, page_tokens=PAGE, is_sharing=is_sharing)


def held(some: PagePool, tokens: list[int]) -> list[int]:
    """Take over what is known of `tokens`, take the rest, and note it all."""
    found = some.find(tokens)
    pages = some.take(-(-len(tokens) // PAGE) - len(found), found=found)
    assert pages is not None
    some.note(tokens, pages)
    return pages


def test_a_beginning_is_found_while_its_sequence_runs_and_after_it_ended() -> None:
    some = pool()
    pages = held(some, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert some.find([1, 2, 3, 4, 5, 6, 7, 8, 0, 0]) == pages[:2]
    some.give_back(pages)
    assert some.find([1, 2, 3, 4, 5, 6, 7, 8, 0, 0]) == pages[:2]


def test_the_last_token_is_always_left_to_be_read() -> None:
    some = pool()
    held(some, [1, 2, 3, 4, 5, 6, 7, 8])
    assert len(some.find([1, 2, 3, 4, 5, 6, 7, 8])) == 1
    assert len(some.find([1, 2, 3, 4, 5, 6, 7, 8, 9])) == 2


def test_the_same_tokens_after_another_beginning_are_not_the_same_page() -> None:
    some = pool()
    held(some, [1, 1, 1, 1, 5, 6, 7, 8, 0])
    assert some.find([2, 2, 2, 2, 5, 6, 7, 8, 0]) == []
    assert some.find([5, 6, 7, 8, 0]) == []


def test_pages_are_used_anew_from_the_end_of_the_sequence_that_ended_first() -> None:
    some = pool()
    first, second = held(some, [1] * 13), held(some, [2] * 13)
    some.give_back(first)
    some.give_back(second)
    assert some.take(2) == [second[3], first[3]], "pages that hold no whole page of tokens go first"
    assert (len(some.find([1] * 13)), len(some.find([2] * 13))) == (3, 3)
    assert some.take(1) == [first[2]]
    assert (len(some.find([1] * 13)), len(some.find([2] * 13))) == (2, 3)


def test_too_few_pages_hold_nothing() -> None:
    some = pool()
    some.give_back(held(some, [1] * 9))
    found = some.find([1] * 9)
    assert some.take(7, found=found) is None
    assert some.free == 8
    assert some.take(6, found=found) is not None
    assert some.free == 0


def test_without_sharing_nothing_is_found() -> None:
    some = pool(is_sharing=False)
    held(some, [1] * 9)
    assert some.find([1] * 9) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 20)), max_size=40))
def test_what_is_found_holds_the_very_tokens_and_every_page_is_given_back(asked: list[tuple[int, int]]) -> None:
    some, holds = pool(), dict[int, tuple[int, ...]]()
    running: list[list[int]] = []
    for kind, length in asked:
        tokens = [kind] * (length // 2) + [7] * (length - length // 2)
        found = some.find(tokens)
        assert [holds[page] for page in found] == [tuple(tokens[: PAGE * (n + 1)]) for n in range(len(found))]
        pages = some.take(-(-length // PAGE) - len(found), found=found)
        if pages is None:
            for one in running:
                some.give_back(one)
            running = []
            continue
        some.note(tokens, pages)
        holds |= {page: tuple(tokens[: PAGE * (n + 1)]) for n, page in enumerate(pages)}
        running.append(pages)
    for one in running:
        some.give_back(one)
    assert (some.free, some.usage_ratio) == (8, 0.0)
