"""The grammar of conditions, and whether they hold."""

from __future__ import annotations

from typing import Any

import pytest

from core.conditions import Condition, Property, describe_value, parse_conditions, without_value

STAGES = {"customer": "Customer", "lead": "Lead", "a,b|c": "Odd"}
STAGE = Property("lifecyclestage", "enumeration", "select", STAGES, "Stage")
INTERESTS = Property(
    "interests", "enumeration", "checkbox", {"a": "Art", "b": "Books"}, "Interests"
)
COUNTRY = Property("country", "string", "text", {}, "Country")
ORDERS = Property("orders", "number", "number", {}, "Orders")
SINCE = Property("since", "datetime", "date", {}, "Since")
MARKETABLE = Property("hs_marketable_status", "bool", "booleancheckbox", {}, "Marketable")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("a=b", [("a", "=", ("b",))]),
        (" a = b | c , d != e,", [("a", "=", ("b", "c")), ("d", "!=", ("e",))]),
        ("a=,b!=", [("a", "=", ()), ("b", "!=", ())]),
        ('a="b,c|d"|e, f=g h', [("a", "=", ("b,c|d", "e")), ("f", "=", ("g h",))]),
        ("a=b|b|", [("a", "=", ("b",))]),
        ("a=x=y", [("a", "=", ("x=y",))]),
        (
            "a<1, b <= 2,c>3|,d>= 4",
            [("a", "<", ("1",)), ("b", "<=", ("2",)), ("c", ">", ("3",)), ("d", ">=", ("4",))],
        ),
    ],
)
def test_conditions_as_they_are_written(text: str, wanted: list[Any]) -> None:
    assert list(parse_conditions(text)) == [Condition(*each) for each in wanted]


@pytest.mark.parametrize(
    "text", ["a", "=b", "a<", "a>1|2", "a<1,800", 'a="b', 'a=b"c"', "A=b", "a=b,,c=d", 'a=b c="']
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="conditions such as"):
        parse_conditions(text)


ONLY_CUSTOMER = "and only Customer matches"


@pytest.mark.parametrize(
    ("text", "known", "value", "why_not"),
    [
        ("lifecyclestage=customer", STAGE, "customer", None),
        ("lifecyclestage=customer|lead", STAGE, "lead", None),
        ("lifecyclestage=customer", STAGE, "lead", f"its Stage is Lead, {ONLY_CUSTOMER}"),
        ("lifecyclestage=customer", STAGE, "Customer", f"its Stage is Customer, {ONLY_CUSTOMER}"),
        ("lifecyclestage=lead|x", STAGE, "gone", "its Stage is gone, and only Lead or x match"),
        ("lifecyclestage=customer", STAGE, None, "it has no Stage"),
        ("lifecyclestage!=customer", STAGE, "lead", None),
        ("lifecyclestage!=customer", STAGE, None, None),
        (
            "lifecyclestage!=customer|lead",
            STAGE,
            "lead",
            "its Stage is Lead, and only values other than Customer or Lead match",
        ),
        ('lifecyclestage="a,b|c"', STAGE, "a,b|c", None),
        ("interests=b", INTERESTS, "a; b", None),
        ("interests=b", INTERESTS, "a", "its Interests is Art, and only Books matches"),
        (
            "interests!=b",
            INTERESTS,
            "a;b",
            "its Interests is Art, Books, and only values other than Books match",
        ),
        ("interests=", INTERESTS, ";", None),
        ("country=", COUNTRY, None, None),
        ("country=", COUNTRY, " ", None),
        ("country=", COUNTRY, "de", "its Country is de, and only an empty value matches"),
        ("country!=", COUNTRY, "de", None),
        ("country!=", COUNTRY, "", "it has no Country"),
        ("country=DE", COUNTRY, " de ", None),
        ("country=a;b", COUNTRY, "a;b", None),
        ("orders=12", ORDERS, "12.0", None),
        ("orders=1800", ORDERS, "1,800.00", None),
        ("orders=12", ORDERS, "13", "its Orders is 13, and only 12 matches"),
        ("orders!=12", ORDERS, None, None),
        ("orders=12", ORDERS, "many", "its Orders is not a number: many"),
        ("orders<12", ORDERS, " many ", "its Orders is not a number: many"),
        ("orders<1e6", ORDERS, "999,999.5", None),
        ("orders<12", ORDERS, None, "it has no Orders"),
        ("orders<12", ORDERS, "12", "its Orders is 12, and only values under 12 match"),
        ("orders<=12", ORDERS, "12", None),
        ("orders<=12", ORDERS, "12.5", "its Orders is 12.5, and only values up to 12 match"),
        ("orders>-3", ORDERS, "-3", "its Orders is -3, and only values over -3 match"),
        ("orders>=1200", ORDERS, "9", "its Orders is 9, and only values from 1,200 on match"),
        ("orders>=9", ORDERS, "1,200", None),
        ("since=2026-03-01", SINCE, "2026-03-01T08:00:00Z", None),
        ("since<=2026-03-01", SINCE, "2026-03-01T23:59:59.999Z", None),
        (
            "since<2026-03-01",
            SINCE,
            "2026-03-01T00:00:00Z",
            "its Since is 1 Mar 2026, and only values before 1 Mar 2026 match",
        ),
        (
            "since>2026-03-01",
            SINCE,
            "2026-03-01T23:59:59Z",
            "its Since is 1 Mar 2026, and only values after 1 Mar 2026 match",
        ),
        ("since>=2026-03-01", SINCE, "1772323200000", None),
        ("since>=2026-03-01", SINCE, "", "it has no Since"),
        ("since>=2026-03-01", SINCE, "soon", "its Since is not a day: soon"),
        ("hs_marketable_status=true", MARKETABLE, "true", None),
        (
            "hs_marketable_status=true",
            MARKETABLE,
            "false",
            "its Marketable is false, and only true matches",
        ),
    ],
)
def test_why_a_condition_does_not_hold(
    text: str, known: Property, value: str | None, why_not: str | None
) -> None:
    (condition,) = parse_conditions(text)
    assert condition.mismatch(value, known) == why_not
    assert condition.holds(value, known) is (why_not is None)


@pytest.mark.parametrize(
    ("value", "reason", "kept"),
    [
        ("Germany is big", "its Country is now Germany is big", "its Country has changed"),
        (None, "it has no Country", "it has no Country"),
    ],
)
def test_a_reason_without_its_value(value: str | None, reason: str, kept: str) -> None:
    assert describe_value(value, COUNTRY) == reason
    assert without_value(reason) == kept
    why_not = parse_conditions("country=at")[0].mismatch(value, COUNTRY)
    assert without_value(str(why_not)) == kept


OWNER = Property("owner", "enumeration", "select", {}, "Owner")
THERE = {each.name: each for each in (STAGE, INTERESTS, COUNTRY, ORDERS, SINCE, MARKETABLE, OWNER)}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("lifecyclestage=lead", None),
        ("lifecyclestage=", None),
        (
            "lifecyclestage=Lead|x",
            "HubSpot's lifecyclestage has no value Lead or x. Its values are customer, lead, a,b|c",
        ),
        (
            "hs_marketable_status=yes",
            "HubSpot's hs_marketable_status has no value yes. Its values are true, false.",
        ),
        ("country=x", None),
        ("owner=77", None),
        ("order=1", "HubSpot has no company property order. Did you mean orders"),
        ("orders=1e3|-2.5", None),
        ("orders<many", "orders is of type number, and many is not a number such as 1800.5."),
        ("orders=1|x|y", "HubSpot's orders is of type number, and x or y is not a number"),
        ("country<d", "HubSpot's country is of type string, and < works only for numbers"),
        ("lifecyclestage>=lead", "lifecyclestage is of type enumeration, and >= works only"),
        ("since>=2026-03-01", None),
        ("since<soon", "since is of type datetime, and soon is not a day such as 2026-03-01."),
        ("since!=2026-02-30", "and 2026-02-30 is not a day such as 2026-03-01."),
    ],
)
def test_mistakes(text: str, wrong: str | None) -> None:
    mistake = parse_conditions(text)[0].mistake(THERE, "company")
    assert (wrong or "") in str(mistake)
    assert (mistake is None) is (wrong is None)
