"""The pure decisions on companies: tables for the rules, properties for what must hold for any
input."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Mapping, NamedTuple, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companies import apply
from companies.matching import Criteria, HubSpotLookup, Matching, Skipped
from companies.plan import (
    LISTED,
    UNKNOWN,
    UNLISTED,
    Answer,
    Diff,
    Doubt,
    Keep,
    Kept,
    Plan,
    Rows,
    compare,
    make_plan,
)
from companies.state import SCHEMA, Answers
from core.addresses import normalise_domain
from core.conditions import Property, parse_conditions
from core.errors import CallRejected, Forbidden, NotFound, ServiceError
from core.words import iso_day, listing
from hubspot_api import search
from hubspot_api.shapes import COMPANY_PROPERTIES, Company
from report.model import DONE, FAILED, NOT_REACHED, Result
from state.store import Store
from tests.helpers import FakeClock

OPTIONS = {"shopify": "Shopify", "magento_2": "Magento 2", "wix": "Wix"}
PLATFORM = Property("ecommerce_platform", "enumeration", "checkbox", OPTIONS, "Platform")
RANK = Property("alexa", "number", "number", {}, "Alexa rank")
RULE = parse_conditions("ecommerce_platform=shopify|magento_2, alexa<1000000")
CRITERIA = Criteria([*zip(RULE, (PLATFORM, RANK))])
LIST = "The list"


class Following(NamedTuple):
    """A row of a destination's list."""

    domain: str
    identifier: str | None = None


def company(
    id: int,
    domain: str | None,
    platform: str | None = "shopify",
    alexa: str | None = "1",
    additional: str | None = None,
    merged: str | None = None,
) -> Company:
    values = {"ecommerce_platform": platform, "alexa": alexa}
    return Company(id, f"Shop {id}", domain, additional, merged, values)


def matching_of(*companies: Company) -> Matching:
    matching = Matching(CRITERIA)
    for each in companies:
        matching.add(each)
    return matching


def compared(matching: Matching, rows: Sequence[Following | str], **aliases: str) -> Diff:
    """`aliases`: by the first label of both domains."""
    listed: Rows = {}
    for row in rows:
        domain, identifier = (row, None) if isinstance(row, str) else row
        others = (identifier,) if identifier and identifier != domain else ()
        listed[domain] = listed.get(domain, ()) + others
    names = {f"{own}.example": f"{other}.example" for own, other in aliases.items()}
    return compare(matching, listed, names, "The list has")


def plan_of(
    matching: Matching,
    diff: Diff,
    found: Sequence[Company] = (),
    records: Mapping[str, int] | None = None,
    waiting: Sequence[str] = (),
    unexplained: Mapping[str, str] = {},
) -> Plan:
    answers = {each: Answer(each, None, UNKNOWN, "404", 0, 0) for each in waiting}
    expected = {*diff.unchanged, *diff.missing} - set(waiting)
    doubt = Doubt(LIST, expected, unexplained)
    lookup = HubSpotLookup(found, records or {})
    return make_plan(matching, diff, lookup, answers, doubt, Keep())


def plan_for(
    companies: Sequence[Company],
    rows: Sequence[Following | str],
    found: Sequence[Company] | None = None,
) -> Plan:
    matching = matching_of(*companies)
    return plan_of(matching, compared(matching, rows), companies if found is None else found)


# What matches


def test_what_cannot_be_compared_is_skipped() -> None:
    plan = plan_for(
        [company(2, "n/a"), company(1, "  "), company(3, "b@a.example", alexa=None)],
        ["localhost", ""],
    )
    assert plan.skipped == (
        Skipped(1, "Shop 1", "the company has no domain in HubSpot"),
        Skipped(2, "Shop 2", "'n/a' in HubSpot is not a domain"),
        Skipped(None, None, "The list has 'localhost', which is not a domain"),
        Skipped(None, None, "The list has a company without a domain"),
    )
    assert (plan.remove, plan.listed) == ((), 2)


def test_pages_on_a_host_of_many_are_no_row_of_that_host() -> None:
    pages = [f"https://facebook.com/shop-{n}" for n in (1, 2)]
    plan = plan_for([], [*pages, "linkedin.com"])
    reasons = [f"The list has {page!r}, which is not a domain" for page in pages]
    assert [each.reason for each in plan.skipped] == reasons
    assert [each.domain for each in plan.remove] == ["linkedin.com"]


# What a row stands for


def test_an_alias_stands_for_its_company() -> None:
    """That of b is a company of its own, and the row of a third stands for both."""
    matching = matching_of(*(company(n, f"{name}.example") for n, name in enumerate("abc")))
    diff = compared(matching, ["x.example", "y.example"], a="x", b="c", c="y", d="gone")
    assert (diff.missing, diff.extra) == ([], {})
    assert diff.aliased == {"x.example": "a.example", "y.example": "c.example"}
    assert compared(matching, ["c.example"], b="c").missing == ["a.example"]
    assert compared(matching, [], a="x").missing == ["a.example", "b.example", "c.example"]


# What HubSpot says of a row


def test_a_removal_is_confirmed_by_every_name_of_the_row() -> None:
    found = [company(2, "brand.example", "wix"), company(1, "https://A.example/")]
    plan = plan_for([], [Following("brand.example", "a.example")], found)
    reason = "a company in HubSpot with this domain matches after all"
    assert (plan.remove, plan.kept) == ((), (Kept("brand.example", reason),))


NEW, NOT_A_SHOP = "new.example", "its Platform is Wix, and only Shopify or Magento 2 match"


@pytest.mark.parametrize(
    ("found", "reason", "moved_to"),
    [
        ([], "it was deleted in HubSpot", None),
        ([company(7, NEW, "wix")], NOT_A_SHOP, None),
        ([company(7, "")], "its domain in HubSpot is now empty", None),
        ([company(7, NEW)], "its domain in HubSpot is now new.example", NEW),
        ([company(9, NEW, merged="5;7")], "it was merged into Shop 9 in HubSpot", NEW),
        ([company(9, NEW, merged="5;x;¹")], "it was deleted in HubSpot", None),
    ],
)
def test_a_remembered_company(found: list[Company], reason: str, moved_to: str | None) -> None:
    matching = matching_of(*(each for each in found if moved_to))
    diff = compared(matching, ["old.example", *([NEW] if moved_to else [])])
    (removal,) = plan_of(matching, diff, found, {"old.example": 7}).remove
    assert (removal.reason, removal.moved_to) == (reason, moved_to)


def test_a_company_that_moved_is_not_removed_before_its_new_domain_is_listed() -> None:
    matching, records = matching_of(company(7, "new.example")), {"old.example": 7}
    diff, found = compared(matching, ["old.example"]), [company(7, "new.example")]
    (removal,) = plan_of(matching, diff, found, records).remove
    assert removal.domain == "old.example"
    plan = plan_of(matching, diff, found, records, waiting=["new.example"])
    reason = "its domain in HubSpot is now new.example, which The list does not list yet"
    assert (plan.add, plan.kept) == ((), (Kept("old.example", reason),))
    assert [each.domain for each in plan.waiting] == ["new.example"]


# Answers


def test_what_is_remembered_of_answers() -> None:
    clock, later = FakeClock(), 86_400.0
    store = Store(Path("none"), f"{SCHEMA}0;", "", dry_run=True)
    answers = Answers(store, 2, clock)
    answers.note_name("a.example", "x.example")
    answers.note_name("b.example", "b.example")
    answers.note_refusal("b.example", UNKNOWN, "404")
    answers.note_refusal("c.example", UNLISTED, "accepted")
    assert answers.aliases() == {"a.example": "x.example"}
    assert answers.waiting().keys() == answers.refused().keys() == {"b.example", "c.example"}
    clock.now += later
    answers.note_refusal("b.example", FAILED, "422")
    clock.now += later
    assert answers.waiting().keys() == {"b.example"}
    again = answers.by_domain["b.example"]
    assert (again.since, again.status) == (again.asked_at - later, FAILED)
    answers.note_name("b.example", "y.example")
    answers.settle(["b.example"], ["a.example", "b.example"])
    kept = {
        each.domain: (each.status, each.alias)
        for each in Answers(store, 2, clock).by_domain.values()
    }
    assert kept == {"a.example": (LISTED, "x.example"), "b.example": (LISTED, "y.example")}
    clock.now -= 9 * later  # the clock was wrong: what lies ahead is not lately
    answers.note_refusal("d.example", UNKNOWN, "404")
    clock.now -= later
    assert answers.waiting() == {}
    store.close()


# What came of a change

UNKNOWN_THERE = Result(FAILED, "404", False, NotFound("it is not known"))
REFUSED = Result(FAILED, "422", False, CallRejected("it is refused"))
FORBIDDEN = Result(FAILED, "403", False, Forbidden("not in the plan"))
LOST = Result(FAILED, "lost", True, ServiceError("lost", True))
MADE, NOT_SENT = Result(DONE, None, True), Result(NOT_REACHED, "down")


@pytest.mark.parametrize(
    ("result", "is_listed", "status", "is_refusal"),
    [
        (MADE, True, DONE, False),
        (MADE, False, UNLISTED, True),
        (MADE, None, "sent", False),
        (LOST, True, DONE, False),
        (LOST, False, FAILED, False),
        (LOST, None, FAILED, False),
        (UNKNOWN_THERE, False, UNKNOWN, True),
        (UNKNOWN_THERE, True, DONE, False),
        (REFUSED, False, FAILED, True),
        (FORBIDDEN, False, FAILED, True),
        (NOT_SENT, False, NOT_REACHED, False),
    ],
)
def test_what_came_of_an_addition(
    result: Result, is_listed: bool | None, status: str, is_refusal: bool
) -> None:
    found = apply.judge_addition(result, is_listed, LIST)
    assert (found.status, apply.is_refusal(found)) == (status, is_refusal)
    assert bool(found.error) is (status not in (DONE, "sent"))


ALIASED = {"x.example": "a.example"}


@pytest.mark.parametrize(
    ("result", "now", "status"),
    [
        (MADE, ({}, []), DONE),
        (MADE, ({}, ["x.example"]), FAILED),
        (MADE, (ALIASED, []), apply.HELD_BACK),
        (MADE, None, "sent"),
        (UNKNOWN_THERE, ({}, []), DONE),
        (REFUSED, ({}, ["x.example"]), FAILED),
        (REFUSED, None, FAILED),
        (NOT_SENT, ({}, ["x.example"]), NOT_REACHED),
        (NOT_SENT, ({}, []), apply.GONE),
        (NOT_SENT, (ALIASED, []), apply.HELD_BACK),
        (Result(apply.HELD_BACK, "why"), ({}, ["x.example"]), apply.HELD_BACK),
        (Result(apply.HELD_BACK, "why"), ({}, []), apply.GONE),
    ],
)
def test_what_came_of_a_removal(
    result: Result, now: tuple[dict[str, str], list[str]] | None, status: str
) -> None:
    diff = Diff([], [], now[0], dict.fromkeys(now[1], ()), 0, [], 0) if now else None
    found = apply.judge_removal(result, "x.example", diff, LIST)
    assert found.status == status
    assert bool(found.error) is (status not in (DONE, apply.GONE, "sent"))


# Words and queries


def test_a_day_and_a_long_list_in_words() -> None:
    assert iso_day(1_795_219_199) == "2026-11-20"
    assert iso_day(1_795_219_200) == "2026-11-21"
    assert listing(["a", "b"], most=2) == "a, b"
    assert listing(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


@pytest.mark.parametrize("domain", ["shop.example", f"{'xn--mnze-0ra.' * 18}example"])
def test_every_query_by_domain_fits_into_a_request(domain: str) -> None:
    queries = list(search.naming([domain] * 20))
    for groups in queries:
        body = search.page(groups, search.LONGEST, COMPANY_PROPERTIES)
        assert len(body["filterGroups"]) <= search.MAX_GROUPS
        assert len(json.dumps(body)) < search.BODY_BYTES
    asked = json.dumps(queries)
    for typed in (domain, f"https://www.{domain}/", f" {domain}"):
        assert json.dumps(typed) in asked


# For any input

DOMAINS = st.sampled_from([f"shop-{n}.example" for n in range(12)])
SPELLINGS = st.builds(
    lambda domain, form: form.format(domain),
    DOMAINS,
    st.sampled_from(["{}", "www.{}", "HTTPS://{}/", "{}.", " {} "]),
)
COMPANIES = st.lists(
    st.builds(
        Company,
        st.integers(1, 50),
        st.none() | st.just("A shop"),
        SPELLINGS | st.sampled_from([None, "", "n/a"]),
        values=st.fixed_dictionaries(
            {
                "ecommerce_platform": st.sampled_from(["shopify", "magento_2", "wix", None]),
                "alexa": st.sampled_from(["1", "999999", "1000000", None]),
            }
        ),
    ),
    max_size=25,
    unique_by=lambda company: company.id,
)
FOLLOWINGS = st.lists(st.builds(Following, SPELLINGS, st.none() | SPELLINGS), max_size=25)


@pytest.mark.no_cover
@given(COMPANIES, FOLLOWINGS)
def test_a_plan_leaves_nothing_to_do(companies: list[Company], followings: list[Following]) -> None:
    plan = plan_for(companies, followings)
    gone = {entry.domain for entry in plan.remove}
    after = [entry for entry in followings if normalise_domain(entry.domain) not in gone]
    after += [Following(entry.domain, entry.domain) for entry in plan.add]
    matching = {normalise_domain(each.domain) for each in companies if not CRITERIA.mismatch(each)}
    names: dict[str | None, set[str | None]] = {}
    for entry in after:
        domain = normalise_domain(entry.domain)
        names.setdefault(domain, {domain}).add(normalise_domain(entry.identifier))
    assert matching - {None} <= set().union(*names.values())
    assert all(identifiers & matching for identifiers in names.values())
    again = plan_for(companies, after)
    assert (again.add, again.remove) == ((), ())


@given(COMPANIES, FOLLOWINGS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    companies: list[Company], followings: list[Following], random: Random
) -> None:
    plan = plan_for(companies, followings)
    random.shuffle(companies)
    random.shuffle(followings)
    assert plan_for(companies, followings) == plan
    assert list(plan.add) == sorted(plan.add)
    assert [entry.domain for entry in plan.remove] == sorted(e.domain for e in plan.remove)


@pytest.mark.no_cover
@given(COMPANIES, FOLLOWINGS)
def test_no_matching_one_is_removed(companies: list[Company], followings: list[Following]) -> None:
    """Even when the first read misses every company and only the second look finds them."""
    plan = plan_for([], followings, companies)
    matching = {normalise_domain(each.domain) for each in companies if not CRITERIA.mismatch(each)}
    assert not matching & {entry.domain for entry in plan.remove}
