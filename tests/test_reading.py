"""Lists that are read page by page: every row once, whatever order, count or end they come with."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from typing import Any, Callable, Iterator, NamedTuple, Optional
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import Clock
from core.errors import BadAnswer, ListChanged
from tests.helpers import PATIENCE_S, no_thread_outlives
from transport import paging
from transport.http_client import HttpClient
from transport.paging import (
    MAX_CHAINS,
    IdRange,
    Page,
    read_by_cursor,
    read_by_offset,
    retry_if_changed,
)
from transport.response import Service

Fetch = Callable[[int], Optional[Page]]
HTTP = HttpClient(Service("Lists", lambda _: ""), "", {}, 1, clock=Clock(), dry_run=True)


def read_numbered(fetch: Fetch) -> tuple[list[Any], int | None]:
    return paging.read_numbered(HTTP, "rows", fetch)


def paged(
    rows: list[Any],
    size: int,
    count: int | None = None,
    order: random.Random | None = None,
    end: Page | None = None,
) -> Fetch:
    """A list with a new `order` for each page, if any, and `count` on every page."""

    def fetch(number: int) -> Page | None:
        shown = order.sample(rows, len(rows)) if order else rows
        page = shown[(number - 1) * size : number * size]
        return Page(page, count) if page or number == 1 else end

    return fetch


@pytest.mark.parametrize("end", [None, Page((), None), Page((), 0)])
@pytest.mark.parametrize("count", [None, 7])
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_list_in_order_is_read_once(size: int, count: int | None, end: Page | None) -> None:
    fetch, rows = paged([*range(7)], size, count, end=end), [*range(7)]
    asked: list[int] = []

    def noted(number: int) -> Page | None:
        asked.append(number)
        return fetch(number)

    assert read_numbered(noted) == (rows, None)
    assert asked == [*range(1, len(asked) + 1)]


@pytest.mark.no_cover
@settings(deadline=None)
@given(st.integers(0, 30), st.integers(4, 40), st.booleans(), st.randoms(use_true_random=False))
def test_a_list_without_an_order_is_read_until_nothing_is_missing(
    length: int, size: int, has_count: bool, order: random.Random
) -> None:
    rows, _ = read_numbered(paged([*range(length)], size, length if has_count else None, order))
    assert len(rows) == len(set(rows))
    assert length - len(rows) <= length // 10  # six reads at most: chance may hide a row


@pytest.mark.parametrize("count", [6, 8, 500, 0])
def test_a_count_that_does_not_fit_is_told(count: int) -> None:
    assert read_numbered(paged([*range(7)], 3, count)) == ([*range(7)], count)


@pytest.mark.parametrize("size", [4, 100])
def test_a_wrong_count_of_a_list_without_an_order_is_told(size: int) -> None:
    rows, claimed = read_numbered(paged([*range(7)], size, 8, random.Random(1)))
    assert (sorted(rows), claimed) == ([*range(7)], 8)


def test_the_count_of_an_empty_list() -> None:
    assert read_numbered(paged([], 3, 0)) == ([], None)
    assert read_numbered(paged([], 3, 5)) == ([], 5)


def test_rows_that_the_list_holds_twice() -> None:
    for count in (None, 3, 2):
        assert read_numbered(paged(["a", "b", "a"], 2, count)) == (["a", "b"], None)


@pytest.mark.parametrize("count", [None, 2, 500])
def test_a_service_that_ignores_the_number_of_the_page(count: int | None) -> None:
    numbers: list[int] = []

    def fetch(number: int) -> Page:
        numbers.append(number)
        return Page(["a", "b"], count)

    assert read_numbered(fetch) == (["a", "b"], count if count == 500 else None)
    assert len(numbers) <= 4


@pytest.mark.parametrize("count", [None, 3])
def test_a_service_whose_last_page_comes_for_every_later_number(count: int | None) -> None:
    pages = [["a", "b"], ["c"]]
    assert read_numbered(lambda n: Page(pages[min(n, 2) - 1], count)) == (["a", "b", "c"], None)


def test_a_page_that_came_twice_once() -> None:
    reads = itertools.count()

    def fetch(number: int) -> Page | None:
        is_wrong = number == 2 and next(reads) == 0
        return paged([*range(9)], 3)(1 if is_wrong else number)

    assert sorted(read_numbered(fetch)[0]) == [*range(9)]


def test_a_row_that_slipped_to_an_earlier_page_is_read_again() -> None:
    """The first read misses c, because a has gone between its pages: only the count tells."""
    lists = [["a", "b", "c", "d"], ["b", "c", "d"]]
    reads = itertools.count()

    def fetch(number: int) -> Page | None:
        rows = lists[min(next(reads), 1)]
        return paged(rows, 2, len(rows))(number)

    rows, claimed = read_numbered(fetch)
    assert ({"b", "c", "d"} <= set(rows), claimed) == (True, None)


def test_a_list_that_never_settles() -> None:
    numbers = itertools.count()
    with pytest.raises(ListChanged, match="6 rows came, and it does not settle"):
        read_numbered(lambda number: Page([next(numbers)] * 2, None) if number == 1 else None)


def test_a_list_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_NUMBERED_PAGES", 20)
    with pytest.raises(ListChanged, match="it has more than 20 pages"):
        read_numbered(lambda number: Page([number], None))


def test_what_moves_is_read_three_times() -> None:
    answers: list[Any] = [ListChanged("first"), ListChanged("second"), "settled"]

    def read() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, ListChanged):
            raise answer
        return answer

    assert retry_if_changed(read) == "settled"
    answers[:] = [ListChanged("first"), ListChanged("second"), ListChanged("third"), "too late"]
    with pytest.raises(ListChanged, match="third"):
        retry_if_changed(read)


# By offset

LETTERS = [*"abcdefghij"]


def by_offset(lists: list[list[str]], size: int) -> Callable[[int], list[str]]:
    """A page of the first list, then one of the next, and of the last from then on."""
    calls = itertools.count()

    def fetch(offset: int) -> list[str]:
        return lists[min(next(calls), len(lists) - 1)][offset : offset + size]

    return fetch


@pytest.mark.parametrize("size", [2, 3, 4, 9, 10, 11])
@pytest.mark.parametrize("length", range(11))
def test_a_list_by_offset(length: int, size: int) -> None:
    rows = LETTERS[:length]
    assert read_by_offset(HTTP, "rows", by_offset([rows], size)) == rows


@pytest.mark.parametrize("changed", [LETTERS[1:], ["new", *LETTERS], LETTERS[:3], []])
def test_a_list_by_offset_that_moves_is_read_again(changed: list[str]) -> None:
    assert read_by_offset(HTTP, "rows", by_offset([LETTERS, changed], 4)) == changed


def test_a_list_by_offset_that_always_moves() -> None:
    numbers = itertools.count()
    with pytest.raises(ListChanged, match=r"Lists, rows: .*row 4 has moved"):
        read_by_offset(HTTP, "rows", lambda _: [str(next(numbers)) for _ in range(4)])
    assert next(numbers) == 2 * paging.MAX_READS * 4


# By cursor


def by_cursor(pages: dict[str | None, tuple[list[str], str | None]]) -> list[str]:
    return [row for page in read_by_cursor(HTTP, "rows", lambda at: pages[at]) for row in page]


def test_a_list_by_cursor_ends_with_the_page_without_one() -> None:
    assert by_cursor({None: (["a"], "x"), "x": ([], "y"), "y": (["b"], None)}) == ["a", "b"]


def test_a_cursor_that_comes_twice() -> None:
    with pytest.raises(BadAnswer, match="its cursor x comes twice, so the list has no end"):
        by_cursor({None: (["a"], "x"), "x": (["b"], "y"), "y": (["c"], "x")})


def test_page_after_page_that_is_empty() -> None:
    with pytest.raises(ListChanged, match="page after page is empty"):
        by_cursor({None: ([], "x"), "x": ([], "y"), "y": (["c"], None)})


# By id


class Row(NamedTuple):
    id: int


class Table:
    """Rows by id; a page has at most `limit` of them, and `before` each page runs."""

    def __init__(self, ids: set[int], limit: int) -> None:
        self.ids, self.limit = ids, limit
        self.asked: list[IdRange] = []
        self.before: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def fetch(self, asked: IdRange) -> tuple[int, list[Row]]:
        with self._lock:
            self.before()
            self.asked.append(asked)
            found = sorted((i for i in self.ids if asked.is_order_of([i])), reverse=asked.falling)
            assert asked.is_order_of(found)
            return len(found), [Row(i) for i in found[: self.limit]]

    def pages(self) -> int:
        return -(-len(self.ids) // self.limit)


ById = Callable[[IdRange], "tuple[int, list[Row]]"]


def read_by_id(fetch: ById, has_room: bool = True, page_size: int = 20) -> Iterator[int]:
    """Splits what is longer than ten rows."""
    room = mock.patch.object(HTTP, "has_room", return_value=has_room)
    with room, mock.patch.object(paging, "SPLIT_FROM_ROWS", 10):
        for page in paging.read_by_id(HTTP, page_size, fetch):
            yield from (row.id for row in page)


@pytest.mark.no_cover
@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(1, 10**12), max_size=200), st.integers(1, 20), st.booleans())
def test_every_row_by_id_once(ids: set[int], limit: int, has_room: bool) -> None:
    assert sorted(read_by_id(Table(ids, limit).fetch, has_room, limit)) == sorted(ids)


@pytest.mark.no_cover
@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(1, 10**6), min_size=30, max_size=200), st.data(), st.booleans())
def test_rows_that_stay_are_never_lost(ids: set[int], data: st.DataObject, has_room: bool) -> None:
    leaving = data.draw(st.lists(st.sampled_from(sorted(ids)), max_size=20, unique=True))
    table, leave = Table({*ids}, 7), iter(leaving)
    table.before = lambda: table.ids.discard(next(leave, 0))

    def read() -> set[int]:
        return {*read_by_id(table.fetch, has_room, 7)}

    with contextlib.suppress(ListChanged):
        assert retry_if_changed(read) >= ids - {*leaving}


@pytest.mark.no_cover
@pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 2_000])
def test_one_chain_costs_a_page_each(rows: int) -> None:
    table = Table({7 * number for number in range(1, rows + 1)}, 20)
    assert len([*read_by_id(table.fetch, has_room=False)]) == rows
    is_full = rows > 0 and rows % 20 == 0  # of the last page, which may not be the last
    assert len(table.asked) == max(table.pages(), 1) + is_full


@pytest.mark.no_cover
def test_more_chains_cost_a_page_each_even_where_ids_lie_far_apart() -> None:
    table = Table({*range(900, 3_000), *range(2 * 10**10, 2 * 10**10 + 2_000)}, 20)
    under_way: set[IdRange] = set()
    most: list[int] = []
    lock = threading.Lock()

    def fetch(asked: IdRange) -> tuple[int, list[Row]]:
        with lock:
            under_way.add(asked)
            most.append(len(under_way))
        found = table.fetch(asked)
        with lock:
            under_way.discard(asked)
        return found

    assert len([*read_by_id(fetch)]) == len(table.ids)
    assert max(most) <= MAX_CHAINS
    splits = sum(asked.falling for asked in table.asked)
    assert splits > 1
    assert len(table.asked) <= table.pages() + 2 * splits


@pytest.mark.parametrize("behind", [1, 3, 100])
def test_a_count_that_is_behind_the_rows_ends_no_range(behind: int) -> None:
    table = Table({*range(1, 47)}, 20)

    def fetch(asked: IdRange) -> tuple[int, list[Row]]:
        there_are, rows = table.fetch(asked)
        return max(there_are - behind, 0), rows

    assert sorted(read_by_id(fetch)) == [*range(1, 47)]


def test_an_empty_page_ends_its_range() -> None:
    pages = iter([(20, [Row(1)]), (19, [])])
    assert [*read_by_id(lambda _: next(pages))] == [1]


@pytest.mark.parametrize(
    ("asked", "ids", "fits"),
    [
        (IdRange(), [], True),
        (IdRange(), [1, 2, 9], True),
        (IdRange(), [1, 1], False),
        (IdRange(), [2, 1], False),
        (IdRange(3, 5), [4], True),
        (IdRange(3, 5), [3], False),
        (IdRange(3, 5), [5], False),
        (IdRange(3, 9, True), [8, 5, 4], True),
        (IdRange(3, 9, True), [4, 5], False),
        (IdRange(3, 9, True), [9, 5], False),
    ],
)
def test_ids_that_are_not_in_order(asked: IdRange, ids: list[int], fits: bool) -> None:
    assert asked.is_order_of(ids) is fits


def test_an_error_reaches_the_reader_and_no_chain_fetches_another_page() -> None:
    table, is_over, others = Table({*range(1, 20_001)}, 100), threading.Event(), []

    def fetch(asked: IdRange) -> tuple[int, list[Row]]:
        if asked.below is None:
            return table.fetch(asked)
        if asked.falling:
            raise ValueError("broken page")
        others.append(asked)
        assert is_over.wait(PATIENCE_S)
        return table.fetch(asked)

    with no_thread_outlives():
        with pytest.raises(ValueError, match="broken page"):
            [*read_by_id(fetch)]
        is_over.set()
    assert len(others) <= 1
