"""The pure decisions on people: tables for the rules, properties for what must always hold."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.addresses import normalise_email
from core.conditions import Property
from hubspot_api.shapes import Contact
from mailerlite_api.shapes import SUBSCRIBER_STATUSES, Subscriber
from subscribers.decide import OLDER, Action, Decision
from subscribers.memory import PersonStore
from subscribers.plan import Plan, by_email, make_plan
from subscribers.rules import (
    BAD_ADDRESS,
    BOUNCED,
    OPTED_OUT,
    QUARANTINED,
    UNCONFIRMED,
    Field,
    Rules,
    Subscription,
    comparable,
    consent_properties,
    labelled,
    usable,
)
from tests.helpers import START

JO = "jo@mail.example"
OUT_OF_NEWS = "opted out of News in HubSpot"
FIELDS = (
    Field("firstname", "name", "text"),
    Field("city", "city", "text"),
    Field("lifetime_value", "value", "number"),
    Field("last_order", "ordered", "date"),
)
EVERY_PROPERTY = {
    name: Property(name, "bool", "", {})
    for name in (
        "hs_email_bad_address",
        "hs_email_hard_bounce_reason_enum",
        "hs_email_quarantined",
        "hs_emailconfirmationstatus",
    )
}
RULES = Rules(FIELDS, consent_properties(EVERY_PROPERTY, [Subscription("7", "Out of: News")]))
NOBODY: dict[str, str | None] = dict.fromkeys(RULES.properties)


def contact(id: int = 1, email: str | None = JO, **values: str | None) -> Contact:
    return Contact(id, {**NOBODY, "email": email, **values})


def subscriber(status: str = "active", email: str = JO, **fields: str | None) -> Subscriber:
    groups = frozenset({"5"})
    return Subscriber(
        f"id of {email}", email, status, {**{f.key: None for f in FIELDS}, **fields}, groups
    )


KNOWN = (JO, "al@mail.example", "bo@mail.example", "cy@mail.example")


def memory(is_known: bool = False) -> PersonStore:
    """Of an earlier run that saw everybody, or of none; it is in main memory alone."""
    store = PersonStore(Path("nowhere.sqlite3"), True, START.date(), 7)
    store.note_lists((email, None) for email in KNOWN if is_known)
    return store


def plan_for(
    *contacts: Contact, there: Subscriber | None = None, known: bool = False, rules: Rules = RULES
) -> Plan:
    people = {there.email: there} if there else {}
    with memory(known) as store:
        return make_plan(contacts, people, store, rules)


def of(plan: Plan, *actions: Action) -> list[Decision]:
    return [each.decision for action in actions for each in plan.of(action)]


def created(plan: Plan) -> list[Decision]:
    return of(plan, Action.CREATE)


def updated(plan: Plan) -> list[Decision]:
    return of(plan, Action.UPDATE)


def reasons(plan: Plan) -> list[str]:
    return [entry.reason for entry in plan.left_alone]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Jo", "text", "Jo"),
        ("12", "number", 12),
        ("12.0", "number", 12),
        ("12.50", "number", 12.5),
        ("-0.5", "number", -0.5),
        ("1e3", "number", 1000),
        ("12345678901234567", "number", 12345678901234567),
        ("n/a", "number", None),
        ("1,000", "number", None),
        ("NaN", "number", None),
        ("sNaN", "number", None),
        ("1e999", "number", None),
        ("-Infinity", "number", None),
        ("", "number", None),
        ("2026-03-01", "date", "2026-03-01"),
        ("2026-03-01 09:30:00", "date", "2026-03-01"),
        ("2026-03-01T23:59:59.999Z", "date", "2026-03-01"),
        ("1772323200000", "date", "2026-03-01"),
        ("-86400000", "date", "1969-12-31"),
        ("0", "date", "1970-01-01"),
        ("1772323200001", "date", None),
        ("20260301", "date", None),
        ("999999998524800", "date", None),
        ("2026-02-30", "date", None),
        ("2026-03-01x", "date", None),
        ("01.03.2026", "date", None),
        ("", "date", None),
    ],
)
def test_values_in_the_form_that_a_field_takes(text: str, kind: str, value: Any) -> None:
    assert usable(text, kind) == value
    assert type(usable(text, kind)) is type(value)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_is_the_same_after_a_journey_as_json(number: float) -> None:
    value = usable(str(number), "number")
    if value is not None:  # else it is an integer that is too large
        assert usable(str(json.loads(json.dumps(value))), "number") == value


@given(st.dates())
def test_every_spelling_of_a_day_is_the_same_day(day: Any) -> None:
    midnight_ms = (day.toordinal() - 719_163) * 86_400_000
    for text in (day.isoformat(), f"{day}T00:00:00Z", f"{day} 12:00:00", str(midnight_ms)):
        assert usable(text, "date") == day.isoformat()


@pytest.mark.parametrize(
    ("text", "kind", "kept"),
    [
        (None, "number", ""),
        (" ", "text", ""),
        ("1,000.00", "number", "1,000.00"),
        (" 12.50", "number", "12.5"),
        ("2026-03-01 00:00:00", "date", "2026-03-01"),
        ("01/03/2026", "date", "01/03/2026"),
    ],
)
def test_what_mailerlite_holds_in_a_form_to_compare(text: str | None, kind: str, kept: str) -> None:
    assert comparable(text, kind) == kept


@pytest.mark.parametrize(
    ("text", "labels", "is_multiple", "words"),
    [
        ("xl", {"xl": "Very large"}, False, "Very large"),
        ("a;b", {"a;b": "Both", "a": "A"}, False, "Both"),
        ("a;b", {"a": "A", "b": "B"}, True, "A, B"),
        (" a ;; c", {"a": "A"}, True, "A, c"),
        ("a;b", {}, False, "a;b"),
    ],
)
def test_labels(text: str, labels: dict[str, str], is_multiple: bool, words: str) -> None:
    assert labelled(text, Field("size", "size", "text", labels, is_multiple)) == words


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"hs_email_optout": "true"}, OPTED_OUT),
        ({"hs_email_optout": "TRUE "}, OPTED_OUT),
        ({"hs_email_bad_address": "true"}, BAD_ADDRESS),
        ({"hs_email_hard_bounce_reason_enum": "UNKNOWN_USER"}, BOUNCED),
        ({"hs_email_quarantined": "true"}, QUARANTINED),
        ({"hs_email_quarantined": "true", "hs_email_optout": "true"}, OPTED_OUT),
        ({"hs_email_quarantined": "true", "hs_email_optout_7": "true"}, OUT_OF_NEWS),
        ({"hs_email_optout_7": "true", "hs_email_optout": "true"}, OPTED_OUT),
        ({"hs_emailconfirmationstatus": "Confirmation Pending"}, UNCONFIRMED),
        ({"hs_emailconfirmationstatus": "CONFIRMATION_EMAIL_SENT"}, UNCONFIRMED),
        ({"hs_emailconfirmationstatus": "Confirmed Pending"}, UNCONFIRMED),
        ({"hs_emailconfirmationstatus": "false"}, UNCONFIRMED),
    ],
)
def test_an_objection_of_hubspot_always_wins(values: Mapping[str, str], reason: str) -> None:
    newest = contact(3, lastmodifieddate="2026-05-01T00:00:00Z", firstname="New")
    for contacts in ([contact(1, JO, **values)], [contact(2, JO, **values), newest]):
        plan = plan_for(*contacts)
        assert plan.is_empty
        assert reason in reasons(plan)
        for status in ("bounced", "junk", "unsubscribed"):
            assert reason in reasons(plan_for(*contacts, there=subscriber(status)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("hs_email_optout", value) for value in (None, "", " ", "false", "False")),
        *(
            ("hs_emailconfirmationstatus", value)
            for value in (
                None,
                "Confirmed",
                "CONFIRMED_DUE_TO_FORM",
                "HubSpot Rep. marked confirmed",
            )
        ),
    ],
)
def test_no_objection(name: str, value: str | None) -> None:
    assert len(created(plan_for(contact(1, JO, **{name: value})))) == 1


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ("2026-05-01T00:00:00Z", "2026-04-01T00:00:00Z", 1),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00.500Z", 2),
        ("2026-05-01T00:00:00.500Z", "2026-05-01T00:00:00Z", 1),
        ("2026-05-01T00:00:00", "2026-04-30T00:00:00Z", 1),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z", 2),
        (None, None, 2),
    ],
)
def test_the_contact_changed_last_wins(first: str | None, second: str | None, winner: int) -> None:
    contacts = [
        contact(1, firstname="1", lastmodifieddate=first),
        contact(2, " JO@mail.example", firstname="2", lastmodifieddate=second),
    ]
    for order in (contacts, contacts[::-1]):
        plan = plan_for(*order)
        (write,) = created(plan)
        assert write.hubspot_id == winner
        assert write.values.to_send == {"name": str(winner)}
        (older,) = plan.left_alone
        assert (older.address, older.hubspot_id, older.reason) == (JO, 3 - winner, OLDER)
        assert [each.id for each in write.person.contacts] == [3 - winner, winner]


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("unconfirmed", "active", "active"),
        ("active", "unsubscribed", "unsubscribed"),
        ("unsubscribed", "active", "unsubscribed"),
        ("junk", "active", "junk"),
        ("bounced", "junk", "bounced"),
    ],
)
def test_someone_in_two_lists(first: str, second: str, status: str) -> None:
    assert by_email([subscriber(first), subscriber(second)])[JO].status == status


# What must hold for any people

EMAILS = st.sampled_from([None, "n/a", JO, JO.upper(), "al@mail.example", "bo@mail.example"])
FLAGS = st.sampled_from([None, "", "false", "true"])
CONTACTS = st.lists(
    st.builds(
        lambda email, name, value, flag, day: (email, name, value, flag, day),
        EMAILS,
        st.sampled_from([None, "", " Jo", "Jo", "Al"]),
        st.sampled_from([None, "5", "5.0", "x"]),
        FLAGS,
        st.sampled_from([None, "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"]),
    ),
    max_size=8,
)
PEOPLE = st.lists(
    st.builds(
        lambda email, status, name: Subscriber(
            email, email, status, {"name": name, "city": None, "value": "5", "ordered": None}
        ),
        st.sampled_from([JO, "al@mail.example", "cy@mail.example"]),
        st.sampled_from(SUBSCRIBER_STATUSES),
        st.sampled_from([None, "Jo", "Joanna"]),
    ),
    max_size=5,
)


def numbered(rows: list[Any]) -> list[Contact]:
    return [
        contact(
            id,
            email,
            firstname=name,
            lifetime_value=value,
            hs_email_optout=flag,
            lastmodifieddate=day,
        )
        for id, (email, name, value, flag, day) in enumerate(rows)
    ]


@pytest.mark.no_cover
@given(CONTACTS, PEOPLE, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_every_contact_is_accounted_for_and_nobody_is_written_against_their_will(
    rows: list[Any], people: list[Subscriber], unsubscribe: bool, known: bool, random: Random
) -> None:
    contacts, found = numbered(rows), by_email(people)
    rules = RULES._replace(unsubscribe_opted_out=unsubscribe)
    with memory(known) as store:
        plan = make_plan(contacts, found, store, rules)
        writes = [each.decision for each in plan.changes]
        assert len(writes) + plan.unchanged + len(plan.left_alone) == len(contacts)
        assert len({write.address for write in writes}) == len(writes)
        out = {
            normalise_email(c.values["email"])
            for c in contacts
            if c.values["hs_email_optout"] == "true"
        }
        for write in [*created(plan), *updated(plan)]:
            assert write.address not in out
            assert all(value != "" for value in write.values.to_send.values())
        assert {write.address for write in created(plan)}.isdisjoint(found)
        assert not (known and created(plan))
        for write in of(plan, Action.UPDATE, Action.UNSUBSCRIBE):
            assert write.person.subscriber == found[write.address]
            assert write.person.status in ("active", "unconfirmed")
        random.shuffle(contacts)
        assert make_plan(contacts, found, store, rules) == plan


@pytest.mark.no_cover
@given(CONTACTS, PEOPLE, st.booleans())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    rows: list[Any], people: list[Subscriber], fill_only: bool
) -> None:
    contacts, found = numbered(rows), by_email(people)
    rules = RULES._replace(groups=("5",), fill_only=fill_only, unsubscribe_opted_out=True)
    with memory() as store:
        plan = make_plan(contacts, found, store, rules)
        for write in [*created(plan), *updated(plan)]:
            before = write.person.subscriber or Subscriber("9", write.address, "active", {})
            sent = {key: str(value) for key, value in write.values.to_send.items()}
            groups = before.groups.union(write.groups.join)
            fields = {**before.fields, **sent}
            found[write.address] = before._replace(fields=fields, groups=groups)
        for write in of(plan, Action.UNSUBSCRIBE):
            found[write.address] = found[write.address]._replace(status="unsubscribed")
        assert make_plan(contacts, found, store, rules).is_empty
