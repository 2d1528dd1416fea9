"""A rule and a list of their own: which companies match by COMPANY_FILTER and COMPANY_LIST."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict

import pytest

import sync
from companies import source
from core.conditions import Property, parse_conditions
from hubspot_api import search
from sandbox import HubSpot, PredictLeads, Request, Sandbox
from sandbox.hubspot_properties import definition
from tests.helpers import FAST, FakeClock

Row = Dict[str, Any]
RULE = {"COMPANY_FILTER": "country!=Germany, revenue>=1000, last_visit<=2026-03-01, tags=b2b|b2c"}
TAGS = definition("enumeration", "checkbox", ["b2b", "b2c", "other"])
PROPERTIES = {
    "companies": {
        "country": {**definition("string"), "label": "Country"},
        "revenue": {**definition("number"), "label": "Revenue"},
        "last_visit": {**definition("datetime"), "label": "Last visit"},
        "tags": {**TAGS, "label": "Tags"},
    }
}
FITTING = {
    "country": "Austria",
    "revenue": "1000",
    "last_visit": "2026-03-01T23:59:59Z",
    "tags": "other;b2c",
}


def world(clock: FakeClock, *companies: Row, followed: tuple[str, ...] = ()) -> Sandbox:
    """An account without `ecommerce_platform` and `alexa`."""
    shops = [
        {"name": f"Shop {n}", "domain": f"shop-{n}.example", **FITTING, **more}
        for n, more in enumerate(companies, 1)
    ]
    hubspot = HubSpot(shops, properties=PROPERTIES)
    for name in ("ecommerce_platform", "alexa"):
        del hubspot.properties["companies"][name]
    predictleads = PredictLeads(dict.fromkeys(followed), requests_per_second=None)
    return Sandbox(hubspot, predictleads, clock=clock)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, None),
        ({"country": None}, None),
        (
            {"country": "germany"},
            "its Country is germany, and only values other than Germany match",
        ),
        ({"revenue": "999.5"}, "its Revenue is 999.5, and only values from 1,000 on match"),
        ({"revenue": None}, "it has no Revenue"),
        (
            {"last_visit": "2026-03-02T00:00:00Z"},
            "its Last visit is 2 Mar 2026, and only values up to 1 Mar 2026 match",
        ),
        (
            {"tags": "other", "revenue": "1"},
            "its Revenue is 1, and only values from 1,000 on match; its Tags is Other, and only B2B"
            " or B2C match",
        ),
    ],
)
def test_companies_match_by_any_property(clock: FakeClock, values: Row, reason: str | None) -> None:
    with world(clock, values, {}, followed=("shop-1.example",)) as sandbox:
        explained = clock.run(sync.main, sandbox, "--explain", "shop-1.example", **RULE, **FAST)
        outcome = clock.run(sync.main, sandbox, **RULE, **FAST)
        kept = [] if reason else ["shop-1.example"]
        assert sorted(sandbox.predictleads.followings) == [*kept, "shop-2.example"]
    assert outcome.code == 0
    assert [row["reason"] for row in outcome.report["unfollow"]] == [reason] * bool(reason)
    (row,) = explained.report["explain"][0]["hubspot"]
    assert (row["reason"], row["facts"]) == (reason, {**FITTING, **values})


def test_what_is_said_of_the_rule(clock: FakeClock) -> None:
    rule = (
        "Country is other than Germany, Revenue is from 1,000 on, Last visit is up to 1 Mar 2026,"
    )
    with world(clock, {}) as sandbox:
        checked = clock.run(sync.main, sandbox, "--check", **RULE, **FAST)
        outcome = clock.run(sync.main, sandbox, **RULE, **FAST)
    assert f"OK   The rule: {rule} Tags is B2B or B2C.\n" in checked.out
    assert f"HubSpot: 1 company matches ({rule} Tags is B2B or B2C).\n" in outcome.err
    assert outcome.report["settings"]["COMPANY_FILTER"] == RULE["COMPANY_FILTER"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("alexa<1000000", "HubSpot has no company property alexa. The closest names are name"),
        ("country<d", "HubSpot's country is of type string, and < works only for numbers"),
        ("tags=B2B", "HubSpot's tags has no value B2B. Its values are b2b, b2c, other."),
        ("revenue>much, country=, last_visit=soon", "revenue is of type number, and much is no"),
        ("revenue>much, country=, last_visit=soon", "type datetime, and soon is not a day such as"),
    ],
)
def test_a_rule_that_does_not_fit(clock: FakeClock, rule: str, words: str) -> None:
    with world(clock, {}, followed=("old.example",)) as sandbox:
        checked = clock.run(sync.main, sandbox, "--check", COMPANY_FILTER=rule, **FAST)
        outcome = clock.run(sync.main, sandbox, COMPANY_FILTER=rule, **FAST)
        assert sandbox.writes == []
    assert (checked.code, outcome.code) == (1, 2)
    assert "FIX  HubSpot" in checked.out
    assert words in checked.out
    assert words in outcome.err
    assert "Set or fix COMPANY_FILTER" in outcome.err


@pytest.mark.parametrize("knob", [{"ALEXA_BELOW": "5"}, {"ECOMMERCE_PLATFORMS": "shopify"}])
def test_a_rule_beside_the_knobs_of_the_other(clock: FakeClock, knob: dict[str, str]) -> None:
    with world(clock, {}) as sandbox:
        outcome = clock.run(sync.main, sandbox, **RULE, **knob)
        assert sandbox.requests == []
    assert outcome.code == 2
    assert f"{next(iter(knob))} and COMPANY_FILTER are both set: remove one" in outcome.err


def test_what_matches_by_now_is_not_unfollowed(clock: FakeClock) -> None:
    """The search finds it with its old values, and the record, read by id, has others."""
    with world(clock, {}, {}, followed=("shop-1.example",)) as sandbox:
        clock.run(sync.main, sandbox, **RULE, **FAST)
        sandbox.hubspot.stale = {101: {"domain": "shop-1.example", **FITTING, "revenue": "1"}}
        outcome = clock.run(sync.main, sandbox, **RULE, **FAST)
        assert "shop-1.example" in sandbox.predictleads.followings
        assert outcome.report["kept"][0]["reason"].endswith("matches after all")


def test_a_value_that_cannot_be_read(clock: FakeClock) -> None:
    """It may match: the company is skipped, and stays followed."""
    with world(clock, {}, {}, followed=("shop-1.example",)) as sandbox:
        sandbox.hubspot.properties["companies"]["last_visit"] = definition("date")
        rule = {"COMPANY_FILTER": "last_visit<=2026-03-01|"}
        sandbox.hubspot.companies[101]["last_visit"] = "soon"
        outcome = clock.run(sync.main, sandbox, **rule, **FAST)
        assert "shop-1.example" in sandbox.predictleads.followings
    reason = "its last_visit is not a day: soon"
    assert outcome.report["kept"] == [{"domain": "shop-1.example", "reason": reason}]


def test_when_hubspot_can_be_asked_for_nothing(clock: FakeClock) -> None:
    """All companies are read, and judged here."""
    with world(clock, {"country": "Germany"}, {"country": None}, {}) as sandbox:
        outcome = clock.run(sync.main, sandbox, COMPANY_FILTER="country!=Germany", **FAST)
        assert sorted(sandbox.predictleads.followings) == ["shop-2.example", "shop-3.example"]
    assert outcome.report["counts"]["matching"] == 2


@pytest.mark.parametrize("count", [3, 60])
def test_a_rule_of_many_conditions(clock: FakeClock, count: int) -> None:
    """A search holds few of them, and each request asks for all properties."""
    names = [f"quite_a_long_name_of_a_property_{n}" for n in range(count)]
    rule = ", ".join(f"{name}!=x|{'y' * 40}" for name in names)
    with world(clock, dict.fromkeys(names, "z"), followed=("old.example",)) as sandbox:
        defined = {name: definition("string") for name in names}
        sandbox.hubspot.properties["companies"].update(defined)
        outcome = clock.run(sync.main, sandbox, COMPANY_FILTER=rule, **FAST)
        assert set(sandbox.predictleads.followings) == {"shop-1.example"}
    assert outcome.code == 0


def of_type(kind: str, field: str = "") -> Property:
    return Property("x", kind, field, {})


MARCH = "1772323200000"  # 1 March 2026, midnight in UTC
NEXT = "1772409600000"
IS_SET, IS_UNSET = ("HAS_PROPERTY",), ("NOT_HAS_PROPERTY",)
MANY = "|".join(map(str, range(101)))


@pytest.mark.parametrize(
    ("text", "known", "filters"),
    [
        ("x=a|b", of_type("enumeration"), [("IN", ["a", "b"])]),
        ("x=a|b", of_type("enumeration", "checkbox"), [IS_SET]),
        (f"x={MANY}", of_type("enumeration"), [IS_SET]),
        ("x=De|Straße", of_type("string"), [("IN", ["de", "straße"])]),
        ("x=true", of_type("bool"), [("EQ", "true")]),
        ("x=true|false", of_type("bool"), [IS_SET]),
        ("x=1e3", of_type("number"), [("EQ", "1000")]),
        ("x=1|2", of_type("number"), [IS_SET]),
        ('x<"1,000.50"', of_type("number"), [("LT", "1000.5")]),
        ("x<=1e-7", of_type("number"), [("LTE", "0.0000001")]),
        ("x>-3", of_type("number"), [("GT", "-3")]),
        ("x>=3", of_type("number"), [("GTE", "3")]),
        ("x=2026-03-01", of_type("date"), [("GTE", MARCH), ("LT", NEXT)]),
        ("x<2026-03-01", of_type("date"), [("LT", MARCH)]),
        ("x<=2026-03-01", of_type("datetime"), [("LT", NEXT)]),
        ("x>2026-03-01", of_type("datetime"), [("GTE", NEXT)]),
        ("x>=2026-03-01", of_type("datetime"), [("GTE", MARCH)]),
        ("x<=9999-12-31", of_type("date"), [("LT", "253402300800000")]),
        ("x=2026-03-01|2026-03-02", of_type("date"), [IS_SET]),
        ("x=", of_type("string"), [IS_UNSET]),
        ("x!=", of_type("number"), [IS_SET]),
        ("x!=a", of_type("string"), []),
        (
            "x>1, x<9, x!=, x=5, x=6, x!=7",
            of_type("number"),
            [("GT", "1"), ("LT", "9"), IS_SET, ("EQ", "5")],
        ),
        (f"x={'a' * 3000}, x!=", of_type("string"), [IS_SET]),
    ],
)
def test_what_hubspot_is_asked_for(text: str, known: Property, filters: list[Any]) -> None:
    group = search.matching([(each, known) for each in parse_conditions(text)])
    asked = [tuple(row.values())[1:] for row in group if row["propertyName"] == "x"]
    assert asked == filters
    assert bool(asked) is (group is not search.EVERYTHING)


def test_no_property_is_asked_for_that_the_rule_does_not_name(clock: FakeClock) -> None:
    asked: list[Request] = []
    with world(clock, {}, followed=("old.example",)) as sandbox:
        sandbox.on_request = asked.append
        clock.run(sync.main, sandbox, COMPANY_FILTER="revenue>1", **FAST)
    text = " ".join(each.body.decode() for each in asked if each.service == "hubspot")
    assert "revenue" in text
    assert "alexa" not in text


# A list

LIST = ["--list", "customers"]
FEW = {"COMPANY_FILTER": "country!=Germany"}


def with_list(sandbox: Sandbox, *members: int) -> Sandbox:
    sandbox.hubspot.add_list("Customers", "companies", *members)
    return sandbox


@pytest.mark.parametrize(
    ("rule", "matching", "reason"),
    [
        ({}, ["shop-1.example", "shop-2.example"], "it is not in the list Customers in HubSpot"),
        (
            FEW,
            ["shop-1.example"],
            "it is not in the list Customers in HubSpot; its Country is Germany, and only values"
            " other than Germany match",
        ),
    ],
)
@pytest.mark.parametrize("by_setting", [True, False])
def test_only_the_companies_of_a_list(
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    rule: dict[str, str],
    matching: list[str],
    reason: str,
    by_setting: bool,
) -> None:
    monkeypatch.setattr(source, "READ_AT_ONCE", 1)
    abroad = {"country": "Germany"}
    flags, more = ([], {"COMPANY_LIST": "1"}) if by_setting else (LIST, {})
    with with_list(
        world(clock, {}, abroad, abroad, followed=("shop-3.example",)), 101, 102
    ) as sandbox:
        explained = clock.run(
            sync.main, sandbox, *flags, "--explain", "shop-3.example", **rule, **more, **FAST
        )
        checked = clock.run(sync.main, sandbox, *flags, "--check", **rule, **more, **FAST)
        outcome = clock.run(sync.main, sandbox, *flags, **rule, **more, **FAST)
        assert sorted(sandbox.predictleads.followings) == matching
    assert (outcome.code, checked.code) == (0, 0)
    named = "1" if by_setting else "customers"
    assert outcome.report["settings"]["COMPANY_LIST"] == named
    assert [row["reason"] for row in outcome.report["unfollow"]] == [reason]
    assert explained.report["explain"][0]["reason"] == reason
    assert "OK   The rule: in the list Customers" in checked.out
    assert "match (in the list Customers" in outcome.err or "matches (in the list" in outcome.err


def test_a_short_list_takes_few_calls_however_many_companies_there_are(clock: FakeClock) -> None:
    with with_list(world(clock, *[{}] * 20_000), 101, 102, 20_100) as sandbox:
        assert clock.run(sync.main, sandbox, *LIST, **FAST).code == 0
        assert len(sandbox.predictleads.followings) == 3
        called = [each.path for each in sandbox.requests if each.service == "hubspot"]
    assert len(called) == 6  # properties, account, the list by name and by id, members, companies


def contacts(sandbox: Sandbox) -> None:
    sandbox.hubspot.lists[1].kind = "contacts"


def gone(sandbox: Sandbox) -> None:
    del sandbox.hubspot.lists[1]


def without_scope(sandbox: Sandbox) -> None:
    sandbox.hubspot.scopes.discard("crm.lists.read")


def still_filled(sandbox: Sandbox) -> None:
    sandbox.hubspot.lists[1].processing_status = "PROCESSING"


def emptied(sandbox: Sandbox) -> None:
    sandbox.hubspot.lists[1].members.clear()


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (contacts, 2, "HubSpot's list Customers is not a list of companies. Fix COMPANY_LIST"),
        (gone, 2, "HubSpot has no list of companies called customers. Fix COMPANY_LIST or --list"),
        (without_scope, 2, "crm.lists.read"),
        (still_filled, 1, "HubSpot is still filling it"),
        (emptied, 3, "No company in HubSpot matches, but 1"),
    ],
)
def test_a_list_that_cannot_be_used(
    clock: FakeClock, spoil: Callable[[Sandbox], None], code: int, words: str
) -> None:
    with with_list(world(clock, {}, followed=("shop-1.example",)), 101) as sandbox:
        spoil(sandbox)
        outcome = clock.run(sync.main, sandbox, *LIST, **FAST)
        checked = clock.run(sync.main, sandbox, *LIST, "--check", **FAST)
        assert sandbox.writes == []
    assert outcome.code == code
    assert words in outcome.text
    assert checked.code == (1 if code == 2 else 0)


@pytest.mark.parametrize("spoil", [gone, still_filled])
@pytest.mark.parametrize("writes", [True, False])
def test_membership_is_asked_again_before_removals(
    clock: FakeClock, spoil: Callable[[Sandbox], None], writes: bool
) -> None:
    """If HubSpot cannot tell any more, nothing is unfollowed."""
    followed = ("shop-2.example",) if writes else ("shop-1.example", "shop-2.example")
    reads = 0

    def on_request(request: Request) -> None:
        nonlocal reads
        reads += request.path.endswith("/lists/1")
        if reads > (2 if writes else 1):
            with contextlib.suppress(KeyError):
                spoil(sandbox)

    with with_list(world(clock, {}, {}, followed=followed), 101) as sandbox:
        sandbox.on_request = on_request
        outcome = clock.run(sync.main, sandbox, *LIST, **FAST)
        assert sorted(sandbox.predictleads.followings) == ["shop-1.example", "shop-2.example"]
    assert outcome.code == (4 if writes else 1)
    assert "members of the list Customers" in outcome.text


def test_a_company_that_comes_into_the_list_is_not_unfollowed(clock: FakeClock) -> None:
    with with_list(world(clock, {}, {}, followed=("shop-2.example",)), 101) as sandbox:

        def on_request(request: Request) -> None:
            if request.path.endswith("/search"):
                sandbox.hubspot.lists[1].members.add(102)

        sandbox.on_request = on_request
        clock.run(sync.main, sandbox, *LIST, **FAST)
        assert sorted(sandbox.predictleads.followings) == ["shop-1.example", "shop-2.example"]


@pytest.mark.parametrize("flags", [[], ["--list", "other"]])
def test_a_list_beside_the_knobs(clock: FakeClock, flags: list[str]) -> None:
    with world(clock, {}) as sandbox:
        named = {} if flags else {"COMPANY_LIST": "customers"}
        outcome = clock.run(sync.main, sandbox, *flags, ALEXA_BELOW="7", **named, **FAST)
        assert sandbox.requests == []
    assert outcome.code == 2
    assert "ALEXA_BELOW and COMPANY_LIST (--list) are both set" in outcome.err
