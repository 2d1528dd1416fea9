"""The pure decisions: tables for the rules, properties for what must hold for any input."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companies.evidence import Evidence
from companies.plan import (
    Criteria,
    Listed,
    Plan,
    Protected,
    Skipped,
    Wanted,
    compare,
    make_plan,
    names_to_confirm,
    nothing_wanted,
    protect,
)
from core.domains import normalise_domain
from core.limits import Refusal
from hubspot_api.shapes import Company

CRITERIA = Criteria(("shopify", "magento_2"), 1_000_000)


class Following(NamedTuple):
    """A row of a destination's list."""

    domain: str
    identifier: str | None


def as_listed(rows: list[Following]) -> Listed:
    listed: Listed = {}
    for domain, identifier in rows:
        others = (identifier,) if identifier and identifier != domain else ()
        listed[domain] = listed.get(domain, ()) + others
    return listed


def company(
    id: int,
    domain: str | None,
    platform: str | None = "shopify",
    alexa: str | None = "1",
) -> Company:
    return Company(id, f"Shop {id}", domain, platform, alexa)


def plan_for(
    companies: list[Company],
    followings: list[Following],
    evidence: list[Company] | None = None,
    keep: set[str] = frozenset(),  # type: ignore[assignment]
    nothing_goes: str | None = None,
) -> Plan:
    wanted = Wanted(CRITERIA)
    for each in companies:
        wanted.add(each)
    compared = compare(wanted, as_listed(followings), "The list has")
    difference = protect(compared, keep, "to be kept", nothing_goes)
    found = Evidence(companies if evidence is None else evidence, {})
    return make_plan(wanted, difference, found, (), (), "The list")


@pytest.mark.parametrize(
    ("platform", "alexa", "mismatch"),
    [
        ("shopify", "999999", None),
        ("magento_2", "0", None),
        ("wix;shopify", "999999.9", None),
        ("shopify", "1e3", None),
        ("shopify", "1000000", "its Alexa rank is now 1,000,000"),
        ("shopify", "1250000.0", "its Alexa rank is now 1,250,000"),
        ("shopify", None, "it has no Alexa rank"),
        ("shopify", "", "it has no Alexa rank"),
        ("shopify", "unknown", "its Alexa rank is not a number: unknown"),
        ("shopify", "nan", "its Alexa rank is not a number: nan"),
        ("shopify", "1e999", "its Alexa rank is not a number: 1e999"),
        ("woocommerce", "1", "its platform is now woocommerce"),
        ("Shopify", "1", "its platform is now Shopify"),
        (None, "1", "it has no e-commerce platform"),
        ("wix", None, "its platform is now wix and it has no Alexa rank"),
    ],
)
def test_why_a_company_does_not_match(
    platform: str | None, alexa: str | None, mismatch: str | None
) -> None:
    assert CRITERIA.mismatch(company(1, "a.example", platform, alexa)) == mismatch


def test_of_several_companies_with_one_domain_the_oldest_stands_for_it() -> None:
    companies = [company(n, "www.a.example") for n in (3, 1, 2)]
    plan = plan_for(companies, [])
    assert [(entry.domain, entry.hubspot_id) for entry in plan.add] == [("a.example", 1)]


def test_what_cannot_be_compared_is_skipped() -> None:
    plan = plan_for(
        [company(2, "n/a"), company(1, "  "), company(3, "b@a.example", alexa=None)],
        [Following("localhost", None), Following("", "")],
    )
    assert plan.skipped == (
        Skipped(1, "Shop 1", "the company has no domain in HubSpot"),
        Skipped(2, "Shop 2", "its domain in HubSpot, 'n/a', is not a usable domain"),
        Skipped(None, None, "The list has '', which is no domain"),
        Skipped(None, None, "The list has 'localhost', which is no domain"),
    )
    assert plan.remove == ()


def test_a_row_is_known_by_its_domain_or_its_identifier() -> None:
    companies = [company(1, "a.example"), company(2, "b.example")]
    followings = [
        Following("brand.example", "A.example"),
        Following("b.example", "something else"),
        Following("www.brand.example", None),
        Following("no domain", "b.example"),
    ]
    plan = plan_for(companies, followings)
    assert (plan.add, plan.remove, plan.protected) == ((), (), ())
    assert plan.unchanged == ("a.example", "b.example")


def test_a_removal_is_confirmed_by_every_name_of_the_row() -> None:
    wanted = Wanted(CRITERIA)
    difference = compare(wanted, {"brand.example": ("a.example",)}, "The list has")
    assert names_to_confirm(difference.surplus) == ["a.example", "brand.example"]
    matching = company(1, "https://A.example/")
    other = company(2, "brand.example", platform="wix")
    plan = make_plan(wanted, difference, Evidence([other, matching], {}), (), (), "The list")
    assert plan.remove == ()
    assert plan.protected == (
        Protected("brand.example", "a company in HubSpot with this domain matches after all"),
    )


def test_the_reason_is_that_of_the_oldest_company_with_the_domain() -> None:
    evidence = [company(9, "a.example", "wix"), company(5, "www.a.example", alexa=None)]
    (entry,) = plan_for([], [Following("a.example", None)], evidence).remove
    assert (entry.hubspot_id, entry.company) == (5, "Shop 5")
    assert entry.reason == "it has no Alexa rank"


def test_the_reason_when_hubspot_does_not_know_the_domain() -> None:
    (entry,) = plan_for([], [Following("a.example", None)], [company(1, None)]).remove
    assert entry.reason == "no company in HubSpot has this domain"
    assert entry.hubspot_id is None


LISTED = [Following("a.example", None), Following("b.example", "c.example")]


def test_protected_on_purpose() -> None:
    plan = plan_for([], LISTED, keep={"c.example"})
    assert [entry.domain for entry in plan.remove] == ["a.example"]
    assert plan.protected == (Protected("b.example", "to be kept"),)
    plan = plan_for([], LISTED, nothing_goes="nothing goes")
    assert plan.remove == ()
    assert {entry.reason for entry in plan.protected} == {"nothing goes"}
    plan = plan_for([], LISTED, keep={"b.example"}, nothing_goes="nothing goes")
    assert plan.protected == (
        Protected("a.example", "nothing goes"),
        Protected("b.example", "to be kept"),
    )


def test_how_many_there_are_and_should_be() -> None:
    companies = [company(1, "a.example"), company(2, "www.a.example"), company(3, "d.example")]
    plan = plan_for(companies, [*LISTED, Following("no domain", None)])
    assert (plan.listed, plan.wanted) == (3, 2)
    assert (len(plan.add), len(plan.remove), len(plan.unchanged)) == (1, 1, 1)


def test_an_empty_hubspot_is_refused() -> None:
    assert nothing_wanted(plan_for([], LISTED), "followed") == Refusal(
        "HubSpot has no matching company, while 2 companies are followed.", "--allow-empty"
    )
    one = nothing_wanted(plan_for([], LISTED[:1]), "kept in the list")
    assert one.reason == "HubSpot has no matching company, while 1 company is kept in the list."


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
        st.sampled_from(["shopify", "magento_2", "wix", None]),
        st.sampled_from(["1", "999999", "1000000", None]),
    ),
    max_size=25,
    unique_by=lambda company: company.id,
)
FOLLOWINGS = st.lists(st.builds(Following, SPELLINGS, st.none() | SPELLINGS), max_size=25)


def apply_plan(plan: Plan, followings: list[Following]) -> list[Following]:
    """What the destination lists afterwards."""
    gone = {entry.domain for entry in plan.remove}
    stay = [entry for entry in followings if normalise_domain(entry.domain) not in gone]
    return stay + [Following(entry.domain, entry.domain) for entry in plan.add]


@given(COMPANIES, FOLLOWINGS)
def test_applying_the_plan_gives_what_is_wanted_and_planning_again_gives_nothing(
    companies: list[Company], followings: list[Following]
) -> None:
    plan = plan_for(companies, followings)
    after = apply_plan(plan, followings)
    wanted = {normalise_domain(each.domain) for each in companies if not CRITERIA.mismatch(each)}
    names: dict[str | None, set[str | None]] = {}
    for entry in after:
        domain = normalise_domain(entry.domain)
        names.setdefault(domain, {domain}).add(normalise_domain(entry.identifier))
    assert wanted - {None} <= set().union(*names.values())
    assert all(identifiers & wanted for identifiers in names.values())
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


@given(COMPANIES, FOLLOWINGS)
def test_what_matches_is_never_removed(
    companies: list[Company], followings: list[Following]
) -> None:
    """Even when the first read misses every company and only the second look finds them."""
    plan = plan_for([], followings, evidence=companies)
    matching = {normalise_domain(each.domain) for each in companies if not CRITERIA.mismatch(each)}
    assert not matching & {entry.domain for entry in plan.remove}


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1], [2, 1, 3]])
def test_of_several_companies_with_one_domain_the_oldest_stands_for_all(order: list[int]) -> None:
    wanted = Wanted(CRITERIA)
    for number in order:
        wanted.add(company(number, "www.a.example"))
    assert wanted.companies["a.example"].hubspot_id == 1
    assert sorted(each.hubspot_id for each in wanted.shared) == [2, 3]
