"""Read a list that may change while its pages are read."""

from __future__ import annotations

import logging
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Hashable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from basics.errors import Moved

MAX_READS = 3  # of the whole list: what still moves then is not to be trusted
MAX_NUMBERED_READS = 6  # several, because pages of a list without an order show some rows twice
MAX_PAGES = 10_000  # an endless list has more
PAGES_WITHOUT_NEWS = 3  # in a row: the list has ended, whatever its pages say

T = TypeVar("T")
log = logging.getLogger("crm_sync")


def read_settled(read: Callable[[], T]) -> T:
    """What `read` returns; it begins anew whenever it raises Moved, and the last one is raised."""
    for _ in range(MAX_READS - 1):
        try:
            return read()
        except Moved as error:
            log.info("%s Reading it again.", error)
    return read()


class Page(NamedTuple):
    """`length`: of the whole list, if the page says so."""

    rows: Sequence[Any]
    length: Optional[int]


class Read(NamedTuple):
    """`rows`: as they came; `lengths`: all that the pages said of the length of the list;
    `is_whole`: it was read to where the list says that it ends."""

    rows: List[Any]
    lengths: FrozenSet[int]
    is_whole: bool

    def fits(self) -> bool:
        return self.lengths <= {len(self.rows), len(set(self.rows))}


def read_numbered(fetch: Callable[[int], Optional[Page]]) -> Tuple[List[Any], Optional[int]]:
    """Every row once of a list whose pages go by number, from 1 on, and the length that the list
    claims where that does not fit (else None).

    `fetch` returns None where the service refuses a page because it is past the last. The end is an
    empty page or a refusal, never a count. A row that comes twice, or a count that does not fit,
    shows that the list has moved, or has no order: then it is read again, until that brings nothing
    new. Raises Moved if it never settles.
    """
    union: Dict[Hashable, None] = {}
    before: List[Hashable] = []
    longest = 0
    for _ in range(MAX_NUMBERED_READS):
        read = _read_once(fetch)
        different = dict.fromkeys(read.rows)
        if read.is_whole and read.fits() and len(different) == len(read.rows):
            return list(different), None
        is_news = not different.keys() <= union.keys()
        union.update(different)
        longest = max(longest, len(read.rows) if read.is_whole else 0)
        is_complete = len(different) == len(read.rows) or len(union) >= longest
        if read.rows == before or (is_complete and not is_news):
            break
        before = read.rows
    else:
        if is_news:
            raise Moved(f"{len(union):,} rows came, and it does not settle")
    return list(union), None if read.fits() else max(read.lengths)


def _read_once(fetch: Callable[[int], Optional[Page]]) -> Read:
    rows: List[Any] = []
    seen: Set[Hashable] = set()
    lengths: Set[int] = set()
    pages_without_news = 0
    last: Sequence[Hashable] = ()
    for number in range(1, MAX_PAGES + 1):
        page = fetch(number)
        if page is None or not page.rows:
            return Read(rows, frozenset(lengths), is_whole=True)
        pages_without_news = pages_without_news + 1 if seen.issuperset(page.rows) else 0
        rows += page.rows
        seen.update(page.rows)
        lengths.update([] if page.length is None else [page.length])
        if page.rows == last or pages_without_news == PAGES_WITHOUT_NEWS:
            return Read(rows, frozenset(lengths), is_whole=False)
        last = page.rows
    raise Moved(f"it has more than {MAX_PAGES:,} pages")
