"""Pages and who holds them. A page whose tokens are known stays findable after its sequence has ended, until it is
needed for others; so a prompt that begins like an earlier one takes over the pages of that beginning.

What a page holds is told by its tokens and by the page before it, compared and not hashed alone: two beginnings that
differ can't be taken for each other. A page that is shared is full, and is never written again. Pure: no torch here.
"""

from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Sequence as Many

_ROOT = 0


class PagePool:
    """Pages 1 to `pages` - 1; page 0 belongs to nobody. `is_sharing` False: no page is ever found again."""

    def __init__(self, *, pages: int, page_tokens: int, is_sharing: bool = True) -> None:
        self._page_tokens = page_tokens
        self._is_sharing = is_sharing
        self._holders = [0] * pages
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(1, pages))
        self._all = max(pages - 1, 1)
        self._known: dict[tuple[int, tuple[int, ...]], tuple[int, int]] = {}
        self._said_of: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._serial = _ROOT

    @property
    def free(self) -> int:
        """How many pages nobody holds."""
        return len(self._free)

    @property
    def usage_ratio(self) -> float:
        """The share of pages that somebody holds."""
        return 1.0 - len(self._free) / self._all

    def find(self, tokens: Many[int]) -> list[int]:
        """The pages that already hold the beginning of `tokens`; never all of it, for its last token is to be read."""
        found: list[int] = []
        before = _ROOT
        for said in self._whole_pages(tokens[: len(tokens) - 1]):
            known = self._known.get((before, said))
            if known is None:
                break
            before, page = known
            found.append(page)
        return found

    def take(self, count: int, *, found: Many[int] = ()) -> list[int] | None:
        """Hold `found` and `count` free pages, the longest free first; None, and nothing held, if there are too few."""
        if count > len(self._free) - sum(page in self._free for page in found):
            return None
        for page in found:
            self._free.pop(page, None)
        fresh = [self._free.popitem(last=False)[0] for _ in range(count)]
        for page in fresh:
            self._forget(page)
        for page in (*found, *fresh):
            self._holders[page] += 1
        return [*found, *fresh]

    def note(self, tokens: Many[int], pages: Many[int]) -> None:
        """Say that `pages` hold `tokens`, or will when the next step reads them; what is known already stays so."""
        before = _ROOT
        for said, page in zip(self._whole_pages(tokens), pages, strict=False):
            key = (before, said)
            if key not in self._known:
                self._forget(page)
                self._serial += 1
                self._known[key] = (self._serial, page)
                self._said_of[page] = key
            before = self._known[key][0]

    def give_back(self, pages: Many[int]) -> None:
        """Hold them no more. The end of a sequence is used anew before its beginning, which others may share."""
        for page in reversed(pages):
            self._holders[page] -= 1
            if self._holders[page] == 0:
                self._free[page] = None
                if page not in self._said_of:
                    self._free.move_to_end(page, last=False)

    def _forget(self, page: int) -> None:
        if (key := self._said_of.pop(page, None)) is not None:
            del self._known[key]

    def _whole_pages(self, tokens: Many[int]) -> Iterator[tuple[int, ...]]:
        size = self._page_tokens
        if self._is_sharing:
            yield from (tuple(tokens[at : at + size]) for at in range(0, len(tokens) - size + 1, size))
