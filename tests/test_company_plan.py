"""The pure decisions: tables for the rules, properties for what must hold for any input."""

from __future__ import annotations

from random import Random
from typing import Dict, List, NamedTuple, Optional, Set

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basics.domains import normalise_domain
from basics.limits import Limit, parse_limit, parse_number
from companies.plan import (
    Criteria,
    Kept,
    Plan,
    Skipped,
    Wanted,
    compare,
    domains_to_confirm,
    make_plan,
    refusals,
    spare,
)
from hubspot_client import Company
from predictleads_client import Followings

CRITERIA = Criteria(frozenset({"shopify", "magento_2"}), 1_000_000)
NO_LIMIT = Limit(100, is_percent=True)


class Following(NamedTuple):
    """A row of PredictLeads' list."""

    domain: str
    identifier: Optional[str]


def as_listed(rows: List[Following]) -> Followings:
    listed: Followings = {}
    for domain, identifier in rows:
        others = (identifier,) if identifier and identifier != domain else ()
        listed[domain] = listed.get(domain, ()) + others
    return listed


def company(
    id: int,
    domain: Optional[str],
    platform: Optional[str] = "shopify",
    alexa: Optional[str] = "1",
) -> Company:
    return Company(id, f"Shop {id}", domain, platform, alexa)


def plan_for(
    companies: List[Company],
    followings: List[Following],
    evidence: Optional[List[Company]] = None,
    keep: Set[str] = frozenset(),  # type: ignore[assignment]
    no_unfollow: bool = False,
) -> Plan:
    wanted = Wanted(CRITERIA)
    for each in companies:
        wanted.add(each)
    difference = spare(compare(wanted, as_listed(followings)), keep, no_unfollow)
    return make_plan(wanted, difference, companies if evidence is None else evidence)


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
    platform: Optional[str], alexa: Optional[str], mismatch: Optional[str]
) -> None:
    assert CRITERIA.mismatch(company(1, "a.example", platform, alexa)) == mismatch


def test_of_several_companies_with_one_domain_the_oldest_stands_for_it() -> None:
    companies = [company(n, "www.a.example") for n in (3, 1, 2)]
    plan = plan_for(companies, [])
    assert [(entry.domain, entry.hubspot_id) for entry in plan.follow] == [("a.example", 1)]


def test_what_cannot_be_compared_is_skipped() -> None:
    plan = plan_for(
        [company(2, "n/a"), company(1, "  "), company(3, "b@a.example", alexa=None)],
        [Following("localhost", None), Following("", "")],
    )
    assert plan.skipped == (
        Skipped(1, "Shop 1", "the company has no domain in HubSpot"),
        Skipped(2, "Shop 2", "its domain in HubSpot, 'n/a', is not a usable domain"),
        Skipped(None, None, "PredictLeads follows '', which is no domain"),
        Skipped(None, None, "PredictLeads follows 'localhost', which is no domain"),
    )
    assert plan.unfollow == ()


def test_a_following_is_known_by_its_domain_or_its_identifier() -> None:
    companies = [company(1, "a.example"), company(2, "b.example")]
    followings = [
        Following("brand.example", "A.example"),
        Following("b.example", "something else"),
        Following("www.brand.example", None),
        Following("no domain", "b.example"),
    ]
    plan = plan_for(companies, followings)
    assert (plan.follow, plan.unfollow, plan.kept) == ((), (), ())
    assert plan.keep == ("a.example", "b.example")


def test_an_unfollow_is_confirmed_by_every_name_of_the_following() -> None:
    wanted = Wanted(CRITERIA)
    difference = compare(wanted, {"brand.example": ("a.example",)})
    assert domains_to_confirm(difference) == ["a.example", "brand.example"]
    matching = company(1, "https://A.example/")
    other = company(2, "brand.example", platform="wix")
    plan = make_plan(wanted, difference, [other, matching])
    assert plan.unfollow == ()
    assert plan.kept == (
        Kept("brand.example", "a company in HubSpot with this domain matches after all"),
    )


def test_the_reason_is_that_of_the_oldest_company_with_the_domain() -> None:
    evidence = [company(9, "a.example", "wix"), company(5, "www.a.example", alexa=None)]
    (entry,) = plan_for([], [Following("a.example", None)], evidence).unfollow
    assert (entry.hubspot_id, entry.company) == (5, "Shop 5")
    assert entry.reason == "it has no Alexa rank"


def test_the_reason_when_hubspot_does_not_know_the_domain() -> None:
    (entry,) = plan_for([], [Following("a.example", None)], [company(1, None)]).unfollow
    assert entry.reason == "no company in HubSpot has this domain"
    assert entry.hubspot_id is None


def test_kept_on_purpose() -> None:
    followings = [Following("a.example", None), Following("b.example", "c.example")]
    plan = plan_for([], followings, keep={"c.example"})
    assert [entry.domain for entry in plan.unfollow] == ["a.example"]
    assert plan.kept == (Kept("b.example", "kept on purpose (--keep or KEEP_FOLLOWING)"),)
    plan = plan_for([], followings, no_unfollow=True)
    assert plan.unfollow == ()
    assert {entry.reason for entry in plan.kept} == {"kept on purpose (--no-unfollow)"}


def unfollowing(unfollows: int, followed: int) -> Plan:
    """A plan that keeps the other followed companies."""
    keep = [company(n, f"keep-{n}.example") for n in range(followed - unfollows)]
    followings = [Following(f"keep-{n}.example", None) for n in range(followed - unfollows)]
    followings += [Following(f"go-{n}.example", None) for n in range(unfollows)]
    return plan_for(keep, followings)


@pytest.mark.parametrize(
    ("limit", "unfollows", "followed", "refused"),
    [
        ("20%", 5, 6, False),
        ("20%", 6, 30, False),
        ("20%", 6, 29, True),
        ("0%", 5, 100, False),
        ("0%", 6, 100, True),
        ("100%", 40, 41, False),
        ("5", 5, 6, False),
        ("5", 6, 1000, True),
        ("0", 1, 1000, True),
    ],
)
def test_limit_of_unfollows(limit: str, unfollows: int, followed: int, refused: bool) -> None:
    plan = unfollowing(unfollows, followed)
    found = refusals(plan, parse_limit(limit), None, allow_empty=False)
    assert bool(found) == refused
    if refused:
        assert found[0].allow_with == f"--max-unfollow {unfollows}"
        assert not refusals(plan, parse_limit(str(unfollows)), None, allow_empty=False)


def test_an_empty_hubspot_is_refused_and_all_violations_are_named() -> None:
    plan = unfollowing(8, 8)
    texts = [str(refusal.reason) for refusal in refusals(plan, Limit(20, True), 0, False)]
    assert texts == [
        "8 companies of 8 (100.0 %) would no longer be followed, and the limit is 20 %.",
        "HubSpot has no matching company, while 8 companies are followed.",
    ]
    assert len(refusals(plan, Limit(20, True), None, allow_empty=True)) == 1
    assert refusals(plan_for([], []), NO_LIMIT, None, allow_empty=False) == []


def test_limit_of_follows() -> None:
    plan = plan_for([company(1, "a.example"), company(2, "b.example")], [])
    (refusal,) = refusals(plan, NO_LIMIT, 1, allow_empty=False)
    assert refusal.reason == "2 companies would be newly followed, and the limit is 1."
    assert refusal.allow_with == "--max-follow 2"
    assert refusals(plan, NO_LIMIT, 2, allow_empty=False) == []


@pytest.mark.parametrize("text", ["", "-1", "20 per cent", "101%", "1.5%", "٣"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="a number such as 412 or a share such as 20%"):
        parse_limit(text)


def test_what_is_no_number() -> None:
    assert parse_number(" 7 ") == 7
    with pytest.raises(ValueError, match="a whole number"):
        parse_number("seven")


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


def apply_plan(plan: Plan, followings: List[Following]) -> List[Following]:
    """What PredictLeads holds afterwards."""
    gone = {entry.domain for entry in plan.unfollow}
    stay = [entry for entry in followings if normalise_domain(entry.domain) not in gone]
    return stay + [Following(entry.domain, entry.domain) for entry in plan.follow]


@given(COMPANIES, FOLLOWINGS)
def test_applying_the_plan_gives_what_is_wanted_and_planning_again_gives_nothing(
    companies: List[Company], followings: List[Following]
) -> None:
    plan = plan_for(companies, followings)
    after = apply_plan(plan, followings)
    wanted = {normalise_domain(each.domain) for each in companies if not CRITERIA.mismatch(each)}
    names: Dict[Optional[str], Set[Optional[str]]] = {}
    for entry in after:
        domain = normalise_domain(entry.domain)
        names.setdefault(domain, {domain}).add(normalise_domain(entry.identifier))
    assert wanted - {None} <= set().union(*names.values())
    assert all(identifiers & wanted for identifiers in names.values())
    again = plan_for(companies, after)
    assert (again.follow, again.unfollow) == ((), ())


@given(COMPANIES, FOLLOWINGS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    companies: List[Company], followings: List[Following], random: Random
) -> None:
    plan = plan_for(companies, followings)
    random.shuffle(companies)
    random.shuffle(followings)
    assert plan_for(companies, followings) == plan
    assert list(plan.follow) == sorted(plan.follow)
    assert [entry.domain for entry in plan.unfollow] == sorted(e.domain for e in plan.unfollow)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 100))
def test_more_unfollows_never_turn_a_refusal_into_a_pass(
    followed: int, fewer: int, more: int, percent: int
) -> None:
    fewer, more = sorted((min(fewer, followed), min(more, followed)))
    for limit in (Limit(percent), Limit(percent, is_percent=True)):
        assert limit.allows(fewer, followed) or not limit.allows(more, followed)


@given(COMPANIES, FOLLOWINGS)
def test_what_matches_is_never_unfollowed(
    companies: List[Company], followings: List[Following]
) -> None:
    """Even when the first read misses every company and only the second look finds them."""
    plan = plan_for([], followings, evidence=companies)
    matching = {normalise_domain(each.domain) for each in companies if not CRITERIA.mismatch(each)}
    assert not matching & {entry.domain for entry in plan.unfollow}
