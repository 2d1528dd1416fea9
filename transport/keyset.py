"""Read all rows of a query by id, from both ends at once, and from in between where that helps.

A page is asked for as "ids above 4711", never as "after row 200": rows that come or go during the
read then move nothing. One chain of such pages cannot be quicker than one page per answer, because
each page needs the last id of the one before. So several chains read at the same time, rising and
falling. What none of them has read yet is a list of gaps; a chain takes a free end of a gap, reads
the next page there and so makes the gap smaller, until no gap is left.
"""

from __future__ import annotations

import queue
import threading
from typing import (
    Callable,
    Generic,
    Iterator,
    NamedTuple,
    Protocol,
    Sequence,
    TypeVar,
)

from transport import threads

MAX_CHAINS = 10


class InconsistentPages(Exception):
    """A page said that there are no more rows where another page has shown some."""


class HasId(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=HasId)


class End(NamedTuple):
    """Where the next page of a chain begins: ids above `bound` in rising order, or, `falling`, ids
    below it in falling order. Without a bound: from the smallest or the largest id on."""

    bound: int | None
    falling: bool


def read_pages(
    fetch: Callable[[End], Sequence[R]], has_room: Callable[[], bool]
) -> Iterator[list[R]]:
    """Every row of a query once, in pages of no particular order.

    `fetch` returns some rows next to the end, in its order, and no row only where there is none:
    a short page is not the last. Whenever `has_room()` says that the service would take more calls
    than the chains make, one more chain begins. Raises what `fetch` raises, and InconsistentPages.
    """
    return _Reading(fetch, has_room).pages()


class _Gap:
    """Ids between two bounds, both exclusive, that no page has covered; the flags say whether a
    chain reads at its lower end (rising) and at its upper end (falling)."""

    def __init__(self, above: int | None, below: int | None) -> None:
        self.above, self.below = above, below
        self.rising = self.falling = False

    def holds(self, row_id: int) -> bool:
        return (self.above is None or row_id > self.above) and (
            self.below is None or row_id < self.below
        )

    def width(self) -> int | None:
        """How many ids it holds; None while a bound is not known."""
        if self.above is None or self.below is None:
            return None
        return max(self.below - self.above - 1, 0)

    def take_end(self) -> End | None:
        if not self.rising:
            self.rising = True
            return End(self.above, falling=False)
        if not self.falling:
            self.falling = True
            return End(self.below, falling=True)
        return None

    def begins_at(self, end: End) -> bool:
        if end.falling:
            return self.falling and self.below == end.bound
        return self.rising and self.above == end.bound

    def shrink(self, end: End, bound: int) -> None:
        if end.falling:
            self.below, self.falling = bound, False
        else:
            self.above, self.rising = bound, False

    def split(self) -> _Gap:
        """Keep the lower half, whose lower end is being read; return the upper half."""
        assert self.above is not None
        assert self.below is not None
        middle = (self.above + self.below) // 2
        upper = _Gap(middle, self.below)
        upper.falling, self.falling = self.falling, False
        self.below = middle + 1
        return upper


class _Reading(Generic[R]):
    def __init__(self, fetch: Callable[[End], Sequence[R]], has_room: Callable[[], bool]) -> None:
        self._fetch = fetch
        self._has_room = has_room
        self._gaps = [_Gap(None, None)]
        self._empty: list[_Gap] = []  # closed by a page without rows
        self._read: list[int] = []  # the smallest and the largest id so far
        self._chains = 0
        self._is_over = False
        self._lock = threading.Lock()
        self._pages: queue.SimpleQueue[list[R] | BaseException | None] = queue.SimpleQueue()

    def pages(self) -> Iterator[list[R]]:
        self._add_chain()
        self._add_chain()
        try:
            while (page := self._pages.get()) is not None:
                if isinstance(page, BaseException):
                    raise page
                yield page
        finally:
            self._is_over = True  # the other chains end with the page that they are reading
        if self._gaps:
            raise InconsistentPages

    def _add_chain(self) -> None:
        with self._lock:
            if self._chains == MAX_CHAINS:
                return
            end = self._free_end() or self._end_of_a_split()
            if end is None:
                return
            self._chains += 1
        threads.start(lambda: self._read_chain(end))

    def _read_chain(self, end: End | None) -> None:
        try:
            while end is not None and not self._is_over:
                self._pages.put(self._cover(end, self._fetch(end)))
                with self._lock:
                    end = self._free_end()
                if end is not None and self._has_room():
                    self._add_chain()
        except BaseException as error:  # raised again by whoever reads the pages
            self._pages.put(error)
        finally:
            with self._lock:
                self._chains -= 1
                if not self._chains:
                    self._pages.put(None)

    def _cover(self, end: End, rows: Sequence[R]) -> list[R]:
        """Note what has been read at `end`; return the rows that nobody else has read."""
        with self._lock:
            gap = next((gap for gap in self._gaps if gap.begins_at(end)), None)
            if gap is None:  # the chain from its other end has covered it by now
                if any(empty.holds(row.id) for empty in self._empty for row in rows):
                    raise InconsistentPages
                return []
            new_rows = [row for row in rows if gap.holds(row.id)]
            if rows:
                gap.shrink(end, rows[-1].id)
                ids = [*self._read, rows[0].id, rows[-1].id]
                self._read = [min(ids), max(ids)]
            elif self._has_read_beyond(end):  # left to the chain at the other end of the gap
                return []
            else:
                self._empty.append(gap)
            if len(new_rows) < len(rows) or not rows or gap.width() == 0:
                self._gaps.remove(gap)
        return new_rows

    def _has_read_beyond(self, end: End) -> bool:
        if not self._read or end.bound is None:
            return bool(self._read)
        return self._read[0] < end.bound if end.falling else self._read[1] > end.bound

    def _free_end(self) -> End | None:
        return next(filter(None, (gap.take_end() for gap in self._gaps)), None)

    def _end_of_a_split(self) -> End | None:
        widest = max(self._gaps, key=lambda gap: gap.width() or 0, default=None)
        if widest is None or (widest.width() or 0) < 2:
            return None
        upper = widest.split()
        self._gaps.append(upper)
        return upper.take_end()
