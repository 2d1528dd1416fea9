"""Read lists page by page, though others change them meanwhile.

Each function takes the client and the name of the call, for the text of what it raises.
"""

from __future__ import annotations

from typing import Any, Callable, Hashable, Iterator, NamedTuple, Sequence, TypeVar

from core.errors import ListChanged
from core.log import log
from transport.http_client import HttpClient

MAX_READS = 3  # of a list that has changed while it was read
MAX_NUMBERED_READS = 6  # pages of a list without an order repeat some rows and lack as many
MAX_NUMBERED_PAGES = 10_000

T = TypeVar("T")


def retry_if_changed(read: Callable[[], T], pause: Callable[[], None] = lambda: None) -> T:
    """What `read` returns; after a `pause` it begins again whenever it raises ListChanged, and the
    last of these is raised."""
    for _ in range(MAX_READS - 1):
        try:
            return read()
        except ListChanged as error:
            log.info("%s Reading it again.", error)
            pause()
    return read()


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
    for _ in range(MAX_NUMBERED_READS):
        read, claimed = _read_to_the_end(http, call, fetch)
        if len(set(read)) == len(read) >= (claimed or 0):
            rows, is_settled = dict.fromkeys(read), True
        else:
            known, rows = rows, dict.fromkeys([*rows, *read])
            is_settled = len(rows) == len(known) and len(rows) >= max(claimed or 0, len(read))
        if is_settled or read == before:
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
