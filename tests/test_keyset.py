"""Reading by id in several chains, against rows that come and go while they are read."""

from __future__ import annotations

import threading
from typing import Callable, Generator, Iterator, List, NamedTuple, Sequence, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import Clock
from core.errors import ListChanged
from tests.helpers import PATIENCE_S, no_thread_outlives
from transport import keyset
from transport.http_client import HttpClient
from transport.keyset import MAX_CHAINS, End
from transport.paging import retry_if_changed
from transport.service import Service

HTTP = HttpClient(Service("Rows", lambda _: ""), "", {}, 1, clock=Clock(), dry_run=True)


def read_pages(
    fetch: Callable[[End], Sequence[Row]], has_room: Callable[[], bool]
) -> Iterator[list[Row]]:
    return keyset.read_pages(HTTP, "rows", fetch, has_room)


class Row(NamedTuple):
    id: int


class Table:
    """Rows by id; `fetch` answers with at most `limit` of them, and `before` each page runs."""

    def __init__(self, ids: set[int], limit: int) -> None:
        self.ids, self.limit = ids, limit
        self.asked: list[End] = []
        self.first_pages_are_covered = False
        self.before: Callable[[int], None] = lambda number: None
        self._lock = threading.Lock()

    def fetch(self, end: End) -> Sequence[Row]:
        with self._lock:
            self.before(len(self.asked))
            self.asked.append(end)
            if end.falling:
                ids = sorted(i for i in self.ids if end.bound is None or i < end.bound)[::-1]
            else:
                ids = sorted(i for i in self.ids if end.bound is None or i > end.bound)
            return [Row(i) for i in ids[: self.limit]]


def read(table: Table, room: bool = False) -> list[int]:
    return [row.id for page in read_pages(table.fetch, lambda: room) for row in page]


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(1, 10**12), max_size=200), st.integers(1, 20), st.booleans())
def test_every_row_once(ids: set[int], limit: int, room: bool) -> None:
    table = Table(ids, limit)
    assert sorted(read(table, room)) == sorted(ids)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(1, 10**6), min_size=30, max_size=200), st.data(), st.booleans())
def test_rows_that_stay_are_never_lost_when_others_go(
    ids: set[int], data: st.DataObject, room: bool
) -> None:
    leaving = data.draw(st.sets(st.sampled_from(sorted(ids)), max_size=20))
    table = Table(set(ids), 7)
    order = sorted(leaving)

    def one_leaves(_number: int) -> None:
        if order:
            table.ids.discard(order.pop())

    table.before = one_leaves
    assert set(retry_if_changed(lambda: read(table, room))) >= ids - leaving


@pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 2_000])
def test_two_chains_cost_no_more_than_a_page_each(rows: int) -> None:
    table = Table({7 * number for number in range(1, rows + 1)}, 20)
    read(table)
    assert len(table.asked) <= -(-rows // 20) + 2


def test_ids_without_a_gap_need_no_page_to_see_that() -> None:
    table = Table(set(range(1, 2001)), 200)
    read(table)
    assert len(table.asked) <= 12  # ten pages, and those under way when the chains met


def test_room_adds_chains_up_to_a_limit() -> None:
    table = Table({11 * number for number in range(1, 4_001)}, 20)
    under_way: set[End] = set()
    most: list[int] = []
    both_ends_are_read = threading.Event()
    lock = threading.Lock()

    def fetch(end: End) -> Sequence[Row]:
        with lock:
            under_way.add(end)
            most.append(len(under_way))
        if end.bound is not None and not end.falling:
            assert both_ends_are_read.wait(PATIENCE_S)
        rows = table.fetch(end)
        with lock:
            under_way.discard(end)
        if end.falling:
            both_ends_are_read.set()
        return rows

    ids = [row.id for page in read_pages(fetch, lambda: True) for row in page]
    assert len(ids) == 4_000
    assert max(most) <= MAX_CHAINS
    assert any(end.bound not in table.ids for end in table.asked if end.bound)  # it was split


def read_with_empty_pages(table: Table, falling_too: bool) -> list[int]:
    """After the first page of each chain, the rising one is told that there is nothing more."""
    first_pages = threading.Semaphore(0)
    both = threading.Lock()

    def fetch(end: End) -> Sequence[Row]:
        if end.bound is None:
            return table.fetch(end)
        with both:
            if not table.first_pages_are_covered:
                table.first_pages_are_covered = first_pages.acquire() and first_pages.acquire()
        return table.fetch(end) if end.falling and not falling_too else []

    def covered() -> bool:
        first_pages.release()
        return False

    return [row.id for page in read_pages(fetch, covered) for row in page]


@pytest.mark.parametrize("falling_too", [False, True])
def test_an_empty_page_where_rows_were_seen_is_not_believed(falling_too: bool) -> None:
    with pytest.raises(ListChanged, match="pages contradict each other"):
        read_with_empty_pages(Table(set(range(1, 2001, 2)), 100), falling_too)


def test_rows_that_arrive_after_an_empty_page_that_denied_them_are_an_error() -> None:
    table = Table(set(range(1, 2001, 2)), 100)
    falling_began, denied = threading.Event(), threading.Event()

    def fetch(end: End) -> Sequence[Row]:
        if end.falling:
            falling_began.set()
            denied.wait()
        elif end.bound is not None:
            falling_began.wait()
            return []
        return table.fetch(end)

    pages = read_pages(fetch, lambda: False)
    assert len(next(pages)) == 100
    assert next(pages) == []
    denied.set()
    with pytest.raises(ListChanged):
        next(pages)


def read_until_an_error(pages: Iterator[list[Row]]) -> None:
    with pytest.raises(ValueError, match="broken page"):
        for _ in pages:
            pass


def stop_reading(pages: Iterator[list[Row]]) -> None:
    next(pages)
    cast(Generator[List[Row], None, None], pages).close()


@pytest.mark.parametrize("end_the_reading", [read_until_an_error, stop_reading])
def test_after_the_end_of_a_reading_no_chain_fetches_another_page(
    end_the_reading: Callable[[Iterator[list[Row]]], None],
) -> None:
    table = Table(set(range(1, 20_001, 2)), 100)
    reading_is_over = threading.Event()
    asked: list[End] = []

    def fetch(end: End) -> Sequence[Row]:
        if not end.falling:
            if end.bound is not None:
                raise ValueError("broken page")
            return table.fetch(end)
        asked.append(end)
        assert reading_is_over.wait(PATIENCE_S)
        return table.fetch(end)

    with no_thread_outlives():
        end_the_reading(read_pages(fetch, lambda: False))
        reading_is_over.set()
    assert len(asked) <= 1


def test_an_error_of_any_chain_reaches_the_reader() -> None:
    def fetch(end: End) -> Sequence[Row]:
        if end.falling:
            raise ValueError("broken page")
        return [Row(1 if end.bound is None else end.bound + 1)]

    with pytest.raises(ValueError, match="broken page"):
        for _ in read_pages(fetch, lambda: False):
            pass
