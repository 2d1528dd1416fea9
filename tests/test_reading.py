"""Lists that are read page by page: every row once, whatever order, count or end they come with."""

from __future__ import annotations

import itertools
import random
from typing import Any, Callable, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import Clock
from core.errors import BadAnswer, ListChanged
from transport import paging
from transport.http_client import HttpClient
from transport.paging import Page, read_by_cursor, read_by_offset, retry_if_changed
from transport.service import Service

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
    assert read_numbered(lambda number: Page(pages[min(number, 2) - 1], count)) == (
        ["a", "b", "c"],
        None,
    )


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
    with pytest.raises(ListChanged, match=r"Lists, rows: .* row 4 has moved; run it again"):
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
