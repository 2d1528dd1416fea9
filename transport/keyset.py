"""Read all rows of a query by id, from both ends at once, and from in between where that helps.

A page is asked for as "ids above 4711", never as "after row 200": rows that come or go during the
read then move nothing. One chain of such pages cannot be quicker than one page per answer, because
each page needs the last id of the one before. So several chains read at the same time, rising and
falling. What none of them has read yet is a list of gaps, and each page makes a gap smaller.
"""

from __future__ import annotations

import functools
import math
from concurrent.futures import Future
from typing import Any, Callable, Iterator, NamedTuple, Protocol, Sequence, TypeVar

from transport import threads
from transport.http_client import HttpClient

MAX_CHAINS = 10


class HasId(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=HasId)


class End(NamedTuple):
    """Where a page begins: ids above `bound` in rising order, or, `falling`, ids below it in
    falling order. Without a bound: from the smallest or the largest id on."""

    bound: int | None
    falling: bool

    def is_before(self, row_id: int) -> bool:
        if self.bound is None:
            return True
        return row_id < self.bound if self.falling else row_id > self.bound


class _Gap:
    """The ids between two ends, which no page has shown yet; `pages`: under way, with their end."""

    def __init__(self, low: End, high: End) -> None:
        self.low, self.high = low, high
        self.pages: dict[Future[Any], End] = {}
        self.is_empty = False  # as a page without rows has said

    def holds(self, row_id: int) -> bool:
        return self.low.is_before(row_id) and self.high.is_before(row_id)

    def width(self) -> float:
        """How many ids it may hold."""
        if self.is_empty:
            return 0
        if self.low.bound is None or self.high.bound is None:
            return math.inf
        return self.high.bound - self.low.bound - 1

    def free_ends(self) -> list[End]:
        ends = (self.low, self.high) if self.width() > 0 else ()
        return [end for end in ends if end not in self.pages.values()]

    def split(self) -> _Gap:
        """Keep the lower half, and return the upper one."""
        middle = (self.low.bound or 0) + int(self.width()) // 2
        upper = _Gap(End(middle, falling=False), self.high)
        upper.pages = {page: end for page, end in self.pages.items() if end.falling}
        self.pages = {page: end for page, end in self.pages.items() if not end.falling}
        self.high = End(middle + 1, falling=True)
        return upper


def read_pages(
    http: HttpClient, call: str, fetch: Callable[[End], Sequence[R]], has_room: Callable[[], bool]
) -> Iterator[list[R]]:
    """Every row of a query once, in pages of no particular order.

    `fetch` returns some rows next to the end, in its order, and no row only where there is none:
    a short page is not the last. Whenever `has_room()` says that the service would take more calls
    than the chains make, one more chain begins. Raises what `fetch` raises, and ListChanged when a
    page says that there are no more rows where another page has shown some.
    """
    gaps = [_Gap(End(None, falling=False), End(None, falling=True))]
    ids: list[int] = []  # the first and the last of every page
    _start_pages(gaps, fetch, 2)
    while under_way := [page for gap in gaps for page in gap.pages]:
        for page in threads.wait_for_any(under_way):
            gap = next(gap for gap in gaps if page in gap.pages)
            end, rows = gap.pages.pop(page), page.result()
            new = [row for row in rows if gap.holds(row.id)]
            if (new and gap.is_empty) or (not rows and any(map(end.is_before, ids))):
                http.list_changed(call, "pages contradict each other")
            if not rows:
                gap.is_empty = True
            elif end.falling:
                gap.high = End(rows[-1].id, falling=True)
            else:
                gap.low = End(rows[-1].id, falling=False)
            ids += [row.id for row in (*rows[:1], *rows[-1:])]
            chains = 1 + sum(len(each.pages) for each in gaps)
            _start_pages(gaps, fetch, 2 if chains < MAX_CHAINS and has_room() else 1)
            yield new


def _start_pages(gaps: list[_Gap], fetch: Callable[[End], Sequence[Any]], number: int) -> None:
    """Fetch so many more pages at free ends; the second of them at a split, if need be."""
    free = [(gap, end) for gap in gaps for end in gap.free_ends()]
    widest = max(gaps, key=_Gap.width)
    if len(free) < number == 2 and 1 < widest.width() < math.inf:
        gaps.append(widest.split())
        free = [(gap, end) for gap in gaps for end in gap.free_ends()]
    for gap, end in free[:number]:
        gap.pages[threads.start(functools.partial(fetch, end))] = end
