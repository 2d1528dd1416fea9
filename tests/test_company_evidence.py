"""Decisions with more in hand than two lists: other names, remembered companies, and doubt."""

from __future__ import annotations

import json
from typing import Mapping, Sequence

import pytest

from companies.evidence import Evidence
from companies.plan import (
    Criteria,
    Difference,
    Doubt,
    Listed,
    Plan,
    Protected,
    Removal,
    Wanted,
    compare,
    found_under,
    held_back,
    make_plan,
)
from core.words import iso_day, listing
from hubspot_api import search
from hubspot_api.shapes import COMPANY_PROPERTIES, Company
from transport.keyset import End

LIST = "The list"


def company(
    id: int,
    domain: str | None,
    platform: str = "shopify",
    additional: str | None = None,
    merged: str | None = None,
) -> Company:
    return Company(id, f"Shop {id}", domain, platform, "1", additional, merged)


def wanted_of(*companies: Company) -> Wanted:
    wanted = Wanted(Criteria(("shopify",), 1_000_000))
    for each in companies:
        wanted.add(each)
    return wanted


def compared(wanted: Wanted, *listed: str, names: Mapping[str, str] | None = None) -> Difference:
    rows: Listed = dict.fromkeys(listed, ())
    return found_under(compare(wanted, rows, "The list has"), names or {}, wanted)


def plan_of(
    wanted: Wanted,
    difference: Difference,
    evidence: Sequence[Company] = (),
    records: Mapping[str, int] | None = None,
    waiting: Sequence[str] = (),
    unlisted: Sequence[str] = (),
) -> Plan:
    found = Evidence(evidence, records or {})
    return make_plan(wanted, difference, found, waiting, unlisted, LIST)


# Other names


def test_an_additional_domain_stands_for_its_company() -> None:
    wanted = wanted_of(company(1, "a.example", additional="old.example; www.older.example"))
    difference = compared(wanted, "older.example")
    assert (difference.missing, difference.unchanged) == ([], ["a.example"])
    assert difference.renamed == {"older.example": "a.example"}
    assert difference.surplus == {}


def test_a_company_that_is_known_to_be_listed_under_another_name() -> None:
    wanted = wanted_of(company(1, "a.example"), company(2, "b.example"), company(3, "c.example"))
    names = {"a.example": "brand.example", "b.example": "c.example", "d.example": "gone.example"}
    difference = compared(wanted, "brand.example", "c.example", names=names)
    assert difference.missing == []
    assert difference.unchanged == ["a.example", "b.example", "c.example"]
    assert difference.renamed == {"brand.example": "a.example"}
    assert difference.surplus == {}


def test_the_other_name_of_a_company_that_is_not_wanted_any_more_explains_its_row() -> None:
    wanted = wanted_of()
    difference = compared(wanted, "brand.example", names={"a.example": "brand.example"})
    assert difference.surplus == {"brand.example": ("a.example",)}
    (removal,) = plan_of(wanted, difference, [company(5, "a.example", "wix")]).remove
    assert (removal.hubspot_id, removal.reason) == (5, "its platform is now wix")


def test_a_name_that_is_not_listed_changes_nothing() -> None:
    wanted = wanted_of(company(1, "a.example"))
    assert compared(wanted, names={"a.example": "brand.example"}).missing == ["a.example"]


def test_a_row_that_a_matching_company_names_in_an_unusable_field_stays() -> None:
    wanted = wanted_of(company(1, "a.example and b.example"))
    plan = plan_of(wanted, compared(wanted, "b.example"))
    reason = "a matching company in HubSpot names it as 'a.example and b.example'"
    assert plan.protected == (Protected("b.example", reason),)


# What a company came from


@pytest.mark.parametrize(
    ("evidence", "reason", "moved_to"),
    [
        ([], "it was deleted in HubSpot", None),
        ([company(7, "new.example", "wix")], "its platform is now wix", None),
        ([company(7, "")], "its domain in HubSpot is now empty", None),
        ([company(7, "new.example")], "its domain in HubSpot is now new.example", "new.example"),
        (
            [company(9, "new.example", merged="5;7")],
            "it was merged into Shop 9 in HubSpot",
            "new.example",
        ),
        ([company(9, "new.example", merged="5;x;¹")], "it was deleted in HubSpot", None),
    ],
)
def test_a_remembered_company_explains_a_domain_that_none_names(
    evidence: list[Company], reason: str, moved_to: str | None
) -> None:
    listed = ["new.example"] if moved_to else []
    wanted = wanted_of(*(each for each in evidence if moved_to))
    difference = compared(wanted, "old.example", *listed)
    (removal,) = plan_of(wanted, difference, evidence, {"old.example": 7}).remove
    assert (removal.reason, removal.moved_to) == (reason, moved_to)


# Doubt


def test_a_company_that_moved_is_not_removed_before_its_new_domain_is_listed() -> None:
    wanted = wanted_of(company(7, "new.example"))
    difference = compared(wanted, "old.example")
    records = {"old.example": 7}
    evidence = [company(7, "new.example")]
    assert [each.domain for each in plan_of(wanted, difference, evidence, records).remove] == [
        "old.example"
    ]
    plan = plan_of(wanted, difference, evidence, records, waiting=["new.example"])
    reason = "its domain in HubSpot is now new.example, which The list does not list yet"
    assert (plan.add, plan.protected) == ((), (Protected("old.example", reason),))


def test_a_row_that_nobody_knows_may_be_what_was_accepted_and_is_not_listed() -> None:
    wanted = wanted_of(company(1, "a.example"))
    difference = compared(wanted, "x.example", "y.example")
    plan = plan_of(wanted, difference, [company(5, "y.example", "wix")], unlisted=["a.example"])
    reason = "it may be a.example, which The list has accepted and does not list"
    assert plan.protected == (Protected("x.example", reason),)
    assert [each.domain for each in plan.remove] == ["y.example"]


def test_what_is_held_back_after_the_additions() -> None:
    wanted = wanted_of(company(1, "a.example"), company(2, "b.example"))
    now = compared(wanted, "brand.example", "x.example", "y.example", "b.example")
    now = found_under(now, {"a.example": "brand.example"}, wanted)
    remove = [
        Removal(domain, None, None, "no company in HubSpot has this domain")
        for domain in ("brand.example", "gone.example", "x.example", "y.example", "z.example")
    ]
    found = Evidence([company(5, "x.example"), company(6, "y.example", "wix")], {})
    assert held_back(remove, now, wanted, found, Doubt(set(), (), LIST)) == {
        "brand.example": "The list lists a.example under this name",
        "x.example": "a company in HubSpot with this domain matches after all",
    }
    doubt = Doubt(set(), ["b.example"], LIST, others={"y.example"})
    held = held_back(remove, now, wanted, Evidence([], {}), doubt)
    reason = "it may be b.example, which The list has accepted and does not list"
    assert (held["x.example"], "y.example" in held) == (reason, False)


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
        body = search.page(groups, End(10**18, falling=False), COMPANY_PROPERTIES)
        assert len(json.dumps(body)) < search.BODY_BYTES
        assert len(body["filterGroups"]) <= search.MAX_GROUPS
    asked = json.dumps(queries)
    for typed in (domain, f"https://www.{domain}/", f" {domain}"):
        assert json.dumps(typed) in asked
