"""Read a list that may change while its pages are read."""

from __future__ import annotations

from typing import (
    Any,
    Callable,
    Hashable,
    NamedTuple,
    Sequence,
    TypeVar,
)

from core.errors import ListChanged
from core.log import log

MAX_READS = 3  # of the whole list: what still moves then is not to be trusted
MAX_NUMBERED_READS = 6  # several, because pages of a list without an order show some rows twice
MAX_PAGES = 10_000  # an endless list has more
MAX_SAME_READS = 2  # after the first of them: the list does hold some rows twice
MAX_IDLE_PAGES = 4  # without a new row, one after another: nothing new is to come

T = TypeVar("T")


def retry_if_changed(read: Callable[[], T], pause: Callable[[], None] = lambda: None) -> T:
    """What `read` returns; after a `pause` it begins anew whenever it raises ListChanged, and the
    last of these is raised."""
    for _ in range(MAX_READS - 1):
        try:
            return read()
        except ListChanged as error:
            log.info("%s Reading it again.", error)
            pause()
    return read()


class Page(NamedTuple):
    """`length`: of the whole list, if the page says so."""

    rows: Sequence[Any]
    length: int | None


class Read(NamedTuple):
    """`rows`: as they came; `lengths`: all that the pages said of the length of the list;
    `is_whole`: it was read to where the list says that it ends, and not only until it repeated
    itself."""

    rows: list[Hashable]
    lengths: frozenset[int]
    is_whole: bool
    is_one_page: bool = False  # whatever page is asked for

    @property
    def length(self) -> int:
        """How many rows there are at least: pages that overlap lack as many as they repeat."""
        return len(self.rows) if self.is_whole else max(self.lengths, default=0)

    def is_proof(self) -> bool:
        """Whether it is the whole list beyond doubt."""
        one_length = self.lengths <= {len(self.rows)} and (self.is_whole or self.lengths)
        return bool(one_length) and len(set(self.rows)) == len(self.rows)


def read_numbered(fetch: Callable[[int], Page | None]) -> tuple[list[Any], int | None]:
    """Every row once of a list whose pages go by number, from 1 on, and the length that the list
    claims where that does not fit (else None).

    `fetch` returns None where the service refuses a page because it is past the last. The end is an
    empty page or a refusal, never a count. A row that comes twice, or a count that does not fit,
    shows that the list has moved, or has no order: then it is read again, until that brings nothing
    new. Raises ListChanged if it never settles.
    """
    union: dict[Hashable, None] = {}
    before: list[Hashable] = []
    length = same = 0
    for _ in range(MAX_NUMBERED_READS):
        read = _read_once(fetch)
        if read.is_proof():
            return read.rows, None
        is_news = not union.keys() >= set(read.rows)
        union.update(dict.fromkeys(read.rows))
        length = max(length, read.length)
        same = same + 1 if read.is_whole and read.rows == before else 0
        is_settled = len(union) >= length or same == MAX_SAME_READS
        if read.is_one_page or (is_settled and not is_news):
            break
        before = read.rows
    else:
        if is_news and len(union) != length:
            raise ListChanged(f"{len(union):,} rows came, and it does not settle")
    claims = set(read.lengths - {len(read.rows), len(union)})
    if not is_settled:
        claims.add(length)  # rows that came twice stood where others should have
    return list(union), max(claims, default=None)


def _read_once(fetch: Callable[[int], Page | None]) -> Read:
    rows: list[Hashable] = []
    seen: dict[Hashable, None] = {}
    lengths: set[int] = set()
    idle_pages = idle_rows = 0  # in a row, without a row that is new
    for number in range(1, MAX_PAGES + 1):
        page = fetch(number)
        if page and page.length is not None and (page.rows or not seen):
            lengths.add(page.length)  # past the end some count 0, and mean the page
        if page is None or not page.rows:
            return Read(rows, frozenset(lengths), is_whole=True)
        if seen.keys() >= set(page.rows):
            idle_pages, idle_rows = idle_pages + 1, idle_rows + len(page.rows)
        else:
            idle_pages = idle_rows = 0
        rows += page.rows
        seen.update(dict.fromkeys(page.rows))
        if idle_pages >= MAX_IDLE_PAGES and idle_rows >= 2 * len(seen):
            return Read(list(seen), frozenset(lengths), False, is_one_page=idle_pages == number - 1)
    raise ListChanged(f"it has more than {MAX_PAGES:,} pages")
