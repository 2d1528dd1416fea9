"""What is known of a destination after writes: names that were told, rows that were recognised."""

from __future__ import annotations

from typing import Any, Sequence

import pytest

from cli.changes import DONE, FAILED, NOT_REACHED, Result
from companies import verdict
from companies.afterwards import Afterwards, Destination
from companies.plan import Criteria, Difference, Removal, Wanted, WantedCompany
from core.errors import CallRejected, Forbidden, NotFound, ServiceError
from hubspot_api.shapes import Company
from tests.helpers import FakeClock

A, B = "a.example", "b.example"
UNKNOWN, REFUSED = NotFound("it is not known"), CallRejected("it is refused", 404)


def wanted_of(*domains: str) -> Wanted:
    wanted = Wanted(Criteria(("shopify",), 10))
    for number, domain in enumerate(domains):
        wanted.add(Company(number, None, domain, "shopify", "1"))
    return wanted


class Notifications:
    """A destination with these lists, one after another, that tells these names."""

    def __init__(self, lists: Sequence[Sequence[str]], names: dict[str, Any]) -> None:
        self.lists, self.names = [dict.fromkeys(each, ()) for each in lists], names
        self.asked: list[str] = []
        self.clock = FakeClock()

    def listed_under(self, domain: str) -> Sequence[str]:
        self.asked.append(domain)
        answer = self.names.get(domain, ())
        if isinstance(answer, ServiceError):
            raise answer
        return tuple(answer)

    def listed(self) -> Any:
        return dict(self.lists.pop(0) if len(self.lists) > 1 else self.lists[0])

    def afterwards(
        self, *domains: str, names: dict[str, str] | None = None, nameless: Sequence[str] = ()
    ) -> Afterwards:
        destination = Destination(
            "The list", "It lists", print, print, self.listed, self.listed_under
        )
        return Afterwards(destination, wanted_of(*domains), names or {}, nameless, [], self.clock)


def test_a_name_that_was_told_holds_for_later_lists() -> None:
    told = Notifications([[], ["brand.example"]], {A: ["WWW.Brand.example", A]})
    after = told.afterwards(A)
    now = after.look({A})
    assert (now.difference.missing, now.difference.renamed) == ([], {"brand.example": A})
    assert (told.asked, after.found) == ([A], {A: "brand.example"})
    assert told.clock.slept == [1.0]


def test_a_name_that_is_known_is_not_asked_for() -> None:
    told = Notifications([["brand.example"]], {})
    after = told.afterwards(A, names={A: "brand.example"})
    assert after.look({A}).difference.missing == []
    assert (told.asked, after.found, told.clock.slept) == ([], {}, [])


def test_rows_that_must_go_are_waited_for() -> None:
    told = Notifications([[A, "x.example"], [A, "x.example"], [A]], {})
    now = told.afterwards(A).look({A}, {"x.example"})
    assert (dict(now.difference.surplus), told.clock.slept) == ({}, [1.0, 3.0])


@pytest.mark.parametrize("answer", [(), Forbidden("not in the plan"), ServiceError("lost")])
def test_companies_of_which_nothing_is_told(answer: Any) -> None:
    told = Notifications([["x.example"]], {A: answer, B: ["c.example"]})
    after = told.afterwards(A, B)
    now = after.look({A, B})
    is_fault = isinstance(answer, ServiceError)
    assert told.asked == ([A] if is_fault else [A, B])
    assert after.nameless(now) == ([A, B] if is_fault else [A])
    assert after.misplaced(now) == ([] if is_fault else [B])
    after.refused = {A}
    assert A not in after.nameless(now)


def test_what_was_asked_for_in_vain_lately_is_not_asked_again_until_it_is_forgotten() -> None:
    told = Notifications([[]], {A: [A]})
    after = told.afterwards(A, nameless=[A])
    assert after.nameless(after.look({A})) == [A]
    assert told.asked == []
    after.forget([A, B])
    assert after.nameless(after.look({A})) == []
    assert told.asked == [A]


RECOGNISED: list[tuple[Sequence[str], set[str], bool]] = [
    ([A], set(), True),
    (["canonical.example"], set(), True),
    (["x.example"], {"x.example"}, False),
    ([], set(), False),
]


@pytest.mark.parametrize(("told_of_row", "others", "is_recognised"), RECOGNISED)
def test_a_row_tells_which_company_it_is(
    told_of_row: Sequence[str], others: set[str], is_recognised: bool
) -> None:
    told = Notifications([["x.example"]], {A: ["canonical.example", A], "x.example": told_of_row})
    after = told.afterwards(A)
    now, found = after.recognise(after.look({A}), ["x.example"])
    assert found == others
    assert now.difference.renamed == ({"x.example": A} if is_recognised else {})
    assert after.misplaced(now) == ([] if is_recognised else [A])
    assert after.look({A}).difference.renamed == now.difference.renamed
    assert told.asked == [A, "x.example"]


def test_no_row_is_asked_about_without_need() -> None:
    told = Notifications([[A, "x.example"]], {})
    after = told.afterwards(A)
    assert after.recognise(after.look({A}), ["x.example"])[1] == set()
    assert told.asked == []


# Verdicts

ENTRY = WantedCompany(A, "A shop", 1)
ROW = Removal("x.example", None, None, "no company in HubSpot has this domain")


def now(
    unchanged: Sequence[str] = (),
    renamed: dict[str, str] | None = None,
    surplus: Sequence[str] = (),
) -> Difference:
    return Difference([], [*unchanged], renamed or {}, dict.fromkeys(surplus, ()), 0, [])


ADDED = [
    (Result(DONE, None, True), [A], DONE),
    (Result(DONE, None, True), [], verdict.UNLISTED),
    (Result(FAILED, "lost", True, ServiceError("lost", True)), [A], DONE),
    (Result(FAILED, "lost", True, ServiceError("lost", True)), [], FAILED),
    (Result(FAILED, "404", False, UNKNOWN), [], verdict.UNKNOWN),
    (Result(FAILED, "404", False, UNKNOWN), [A], DONE),
    (Result(FAILED, "422", False, REFUSED), [], FAILED),
    (Result(NOT_REACHED, "down"), [], NOT_REACHED),
]


@pytest.mark.parametrize(("result", "listed", "status"), ADDED)
def test_what_came_of_an_addition(result: Result, listed: Sequence[str], status: str) -> None:
    (found,) = verdict.of_additions([ENTRY], [result], now(listed), "The list")
    assert found.status == status
    assert (found.error is None) is (status == DONE)


REMOVED = [
    (Result(DONE, None, True), now(), DONE),
    (Result(DONE, None, True), now(surplus=["x.example"]), FAILED),
    (Result(FAILED, "404", False, UNKNOWN), now(), DONE),
    (Result(FAILED, "422", False, REFUSED), now(surplus=["x.example"]), FAILED),
    (Result(DONE), now(renamed={"x.example": A}), verdict.HELD_BACK),
    (Result(verdict.HELD_BACK, "why"), now(surplus=["x.example"]), verdict.HELD_BACK),
    (Result(NOT_REACHED, "down"), now(surplus=["x.example"]), NOT_REACHED),
]


@pytest.mark.parametrize(("result", "listed", "status"), REMOVED)
def test_what_came_of_a_removal(result: Result, listed: Difference, status: str) -> None:
    (found,) = verdict.of_removals([ROW], {"x.example": result}, listed, "The list")
    assert found.status == status
    assert (found.error is None) is (status == DONE)


def test_a_row_that_went_by_itself_is_done() -> None:
    assert verdict.of_removals([ROW], {}, now(), "The list") == [Result(DONE)]


def test_what_may_have_been_added_and_what_was_not() -> None:
    results = [each for each, _, _ in ADDED]
    entries = [ENTRY._replace(domain=f"{n}.example") for n in range(len(results))]
    numbers = {int(each.split(".")[0]) for each in verdict.perhaps_added(entries, results)}
    assert numbers == {0, 1, 2, 3, 6}
    numbers = {int(each.split(".")[0]) for each in verdict.not_added(entries, results)}
    assert numbers == {4, 5, 6, 7}


REFUSALS = [
    (Result(verdict.UNKNOWN, "404", False, UNKNOWN), True),
    (Result(verdict.UNLISTED, "why"), True),
    (Result(FAILED, "422", False, REFUSED), True),
    (Result(FAILED, "403", False, Forbidden("403")), True),
    (Result(FAILED, "still listed"), True),
    (Result(FAILED, "500", True, ServiceError("500")), False),
    (Result(verdict.HELD_BACK, "why"), False),
    (Result(NOT_REACHED, "down"), False),
    (Result(DONE), False),
]


@pytest.mark.parametrize(("result", "is_refusal"), REFUSALS)
def test_what_is_remembered_as_a_refusal(result: Result, is_refusal: bool) -> None:
    row = (A, "A shop", result.status, result.error or "")
    assert verdict.refused([ENTRY], [result]) == ([row] if is_refusal else [])
