"""Read lists page by page, though others change them meanwhile.

Where a list cannot be read the client raises, with the name of the call.
"""

from __future__ import annotations

import functools
from concurrent.futures import Future
from typing import Any, Callable, Hashable, Iterator, NamedTuple, Protocol, Sequence, TypeVar

from core import errors, log
from transport import threads
from transport.http_client import HttpClient

MAX_READS = 3  # of a list that has changed while it was read
MAX_NUMBERED_READS = 6  # pages of a list without an order repeat some rows and lack as many
MAX_NUMBERED_PAGES = 10_000
MAX_CHAINS = 10
SPLIT_FROM_ROWS = 1_000  # fewer rows left are not worth the page that one more chain may cost

T = TypeVar("T")


def retry_if_changed(read: Callable[[], T], pause: Callable[[], None] = lambda: None) -> T:
    """What `read` returns; after a `pause` it begins again whenever it raises ListChanged, and the
    last of these is raised."""
    for _ in range(MAX_READS - 1):
        try:
            return read()
        except errors.ListChanged as error:
            log.info("%s Reading it again.", error)
            pause()
    return read()


class HasId(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=HasId)


class IdRange(NamedTuple):
    """The ids between two others, or from the smallest, or up to the largest; in rising order or,
    `falling`, from the top."""

    above: int | None = None
    below: int | None = None
    falling: bool = False

    def after(self, row_id: int) -> IdRange:
        """What is left of it after this row."""
        return self._replace(below=row_id) if self.falling else self._replace(above=row_id)

    def is_order_of(self, ids: list[int]) -> bool:
        """Whether rows of the range may come so."""
        above, below = self.above, self.below
        inside = all((above is None or above < i) and (below is None or i < below) for i in ids)
        return inside and ids == sorted(set(ids), reverse=self.falling)


def read_by_id(
    http: HttpClient, page_size: int, fetch: Callable[[IdRange], tuple[int, list[R]]]
) -> Iterator[list[R]]:
    """Every row of a query once, in pages of no particular order.

    `fetch` returns how many rows a range has, and the first of them, `page_size` at most. That
    number may be behind the rows, so a full page is never taken for the last one. A page is asked
    for as "ids above 4711", never as "after row 200", so rows that come or go meanwhile move
    nothing. A chain of such pages is no quicker than one page per answer, as each page needs the
    last id of the one before; so while the service would take more calls, a long range goes on as
    two. Whether enough rows came is for the caller to judge. Raises what `fetch` raises.
    """
    under_way: dict[Future[tuple[int, list[R]]], IdRange] = {}

    def begin(*ranges: IdRange) -> None:
        for each in ranges:
            under_way[threads.start(functools.partial(fetch, each))] = each

    begin(IdRange())
    while under_way:
        for page in threads.wait_for_any(under_way):
            asked, (there_are, rows) = under_way.pop(page), page.result()
            left = there_are - len(rows)
            if rows and (left > 0 or len(rows) >= page_size):
                rest = asked.after(rows[-1].id)
                can_split = left > SPLIT_FROM_ROWS and len(under_way) < MAX_CHAINS - 1
                if rest.above is None or rest.below is None:
                    begin(rest._replace(falling=True))  # to learn where it ends
                elif can_split and http.has_room():
                    # Ids may lie far apart somewhere: from the middle outwards both parts soon
                    # begin and end with rows.
                    middle = (rest.above + rest.below) // 2
                    begin(IdRange(rest.above, middle, True), IdRange(middle - 1, rest.below))
                else:
                    begin(rest)
            yield rows


def read_by_cursor(
    http: HttpClient, call: str, fetch: Callable[[str | None], tuple[list[T], str | None]]
) -> Iterator[list[T]]:
    """Each page up to the one without a cursor: a short page, or an empty one, is not the end.

    `fetch` returns the rows at a cursor (None: the first), and the cursor of the next page. Raises
    BadAnswer when a cursor comes twice, ListChanged when page after page is empty.
    """
    seen: set[str] = set()
    cursor: str | None = None
    was_empty = False
    while True:
        rows, cursor = fetch(cursor)
        yield rows
        if cursor is None:
            return
        if cursor in seen:
            http.bad_answer(call, f"its cursor {cursor} comes twice, so the list has no end")
        if was_empty and not rows:
            http.list_changed(call, "there is to be more, but page after page is empty")
        seen.add(cursor)
        was_empty = not rows


def read_by_offset(http: HttpClient, call: str, fetch: Callable[[int], list[T]]) -> list[T]:
    """Every row of a list, in its order. `fetch` returns two rows or more from an offset on, fewer
    only where there are no more. Raises ListChanged when rows move in each of several reads.

    A row that comes or goes moves all rows after it, so that one of them would be read twice or not
    at all. So each page begins with the last row of the one before, which shows that none moved.
    """

    def read() -> list[T]:
        rows = new = fetch(0)
        while new:
            page = fetch(len(rows) - 1)
            if page[:1] != rows[-1:]:
                http.list_changed(call, f"row {len(rows):,} has moved")
            new = page[1:]
            rows = rows + new
        return rows

    return retry_if_changed(read)


class Page(NamedTuple):
    """`length`: of the whole list, if the page says so."""

    rows: Sequence[Any]
    length: int | None


def read_numbered(
    http: HttpClient, call: str, fetch: Callable[[int], Page | None]
) -> tuple[list[Any], int | None]:
    """Every row once of a list whose pages go by number, from 1 on, in whatever order; and the
    length that the list claims where that does not fit (else None).

    `fetch` returns None where the service refuses a page because it is past the last. Where rows
    come twice, or fewer than the list claims, it has moved or has no order: it is read again until
    that brings nothing new. Raises ListChanged if it never settles.
    """
    rows: dict[Hashable, None] = {}
    before: list[Hashable] | None = None
    quiet = 0  # reads in a row that brought nothing new
    for _ in range(MAX_NUMBERED_READS):
        known = len(rows)
        read, claimed = _read_to_the_end(http, call, fetch)
        is_whole = len(set(read)) == len(read) >= (claimed or 0)
        rows = dict.fromkeys(read if is_whole else [*rows, *read])
        quiet = quiet + 1 if known == len(rows) >= len(read) else 0
        enough = 1 if len(rows) >= (claimed or 0) else 2  # else the count seems to be wrong
        if is_whole or read == before or quiet >= enough:
            fits = claimed in (None, len(rows), len(read))
            return list(rows), None if fits else claimed
        before = read
    http.list_changed(call, f"{len(rows):,} rows came, and it does not settle")


def _read_to_the_end(
    http: HttpClient, call: str, fetch: Callable[[int], Page | None]
) -> tuple[list[Hashable], int | None]:
    """All rows up to a page without a new one, and the largest length that a page claims. A count
    is no end: it may be wrong, or that of the page."""
    rows: list[Hashable] = []
    seen: set[Hashable] = set()
    lengths: list[int] = []
    for number in range(1, MAX_NUMBERED_PAGES + 1):
        page = fetch(number) or Page((), None)
        rows += page.rows
        if page.length is not None and (page.rows or not seen):
            lengths.append(page.length)  # past the end some count 0, and mean the page
        if seen.issuperset(page.rows):
            return rows, max(lengths, default=None)
        seen.update(page.rows)
    http.list_changed(call, f"it has more than {MAX_NUMBERED_PAGES:,} pages")
