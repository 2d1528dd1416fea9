"""The grammar of conditions, and whether they hold."""

from __future__ import annotations

from typing import Any

import pytest

from core.conditions import Condition, Property, describe_value, parse_conditions

STAGES = {"customer": "Customer", "lead": "Lead", "a,b|c": "Odd"}
STAGE = Property("lifecyclestage", "enumeration", "select", STAGES, "Lifecycle Stage")
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
    ],
)
def test_conditions_as_they_are_written(text: str, wanted: list[Any]) -> None:
    assert list(parse_conditions(text)) == [Condition(*each) for each in wanted]


@pytest.mark.parametrize("text", ["a", "=b", "a<b", 'a="b', 'a=b"c"', "A=b", "a=b,,c=d", 'a=b c="'])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="conditions such as"):
        parse_conditions(text)


@pytest.mark.parametrize(
    ("text", "known", "value", "why_not"),
    [
        ("lifecyclestage=customer", STAGE, "customer", None),
        ("lifecyclestage=customer|lead", STAGE, "lead", None),
        ("lifecyclestage=customer", STAGE, "lead", "its lifecycle stage is now Lead"),
        ("lifecyclestage=customer", STAGE, "gone", "its lifecycle stage is now gone"),
        ("lifecyclestage=customer", STAGE, None, "it has no lifecycle stage"),
        ("lifecyclestage!=customer", STAGE, "lead", None),
        ("lifecyclestage!=customer", STAGE, None, None),
        ("lifecyclestage!=customer|lead", STAGE, "lead", "its lifecycle stage is now Lead"),
        ('lifecyclestage="a,b|c"', STAGE, "a,b|c", None),
        ("interests=b", INTERESTS, "a; b", None),
        ("interests=b", INTERESTS, "a", "its interests is now Art"),
        ("interests!=b", INTERESTS, "a;b", "its interests is now Art, Books"),
        ("interests=", INTERESTS, ";", None),
        ("country=", COUNTRY, None, None),
        ("country=", COUNTRY, " ", None),
        ("country=", COUNTRY, "de", "its country is now de"),
        ("country!=", COUNTRY, "de", None),
        ("country!=", COUNTRY, "", "it has no country"),
        ("country=DE", COUNTRY, " de ", None),
        ("country=a;b", COUNTRY, "a;b", None),
        ("orders=12", ORDERS, "12.0", None),
        ("orders=12", ORDERS, "13", "its orders is now 13"),
        ("since=2026-03-01", SINCE, "2026-03-01T08:00:00Z", None),
        ("hs_marketable_status=true", MARKETABLE, "true", None),
        ("hs_marketable_status=true", MARKETABLE, "false", "its marketable is now false"),
    ],
)
def test_whether_a_condition_holds(
    text: str, known: Property, value: str | None, why_not: str | None
) -> None:
    (condition,) = parse_conditions(text)
    assert condition.holds(value, known) is (why_not is None)
    if why_not:
        assert describe_value(value, known) == why_not


@pytest.mark.parametrize(
    ("text", "known", "wrong"),
    [
        ("lifecyclestage=lead", STAGE, None),
        ("lifecyclestage=", STAGE, None),
        ("lifecyclestage=Lead|x", STAGE, "Lead or x: possible are customer, lead, a,b|c"),
        ("hs_marketable_status=yes", MARKETABLE, "yes: possible are true, false"),
        ("country=x", COUNTRY, None),
        ("owner=77", Property("owner", "enumeration", "select", {}, "Owner"), None),
    ],
)
def test_values_that_there_are_not(text: str, known: Property, wrong: str | None) -> None:
    assert parse_conditions(text)[0].mistake(known) == wrong
