"""Who is meant: a list in HubSpot, and conditions on contacts."""

from __future__ import annotations

from typing import Any

import pytest

import hubspot_client
from hubspot_api.shapes import Contact
from sandbox import Fault, Request, Sandbox
from sandbox.hubspot import definition
from subscribers.rules import Scope
from tests.helpers import FakeClock
from tests.people import (
    AL,
    BO,
    JO,
    Row,
    before_looks,
    contact,
    emails,
    make,
    reasons,
    run,
    run_first,
    statuses,
    subscriber,
)

LIST = ["--list", "Customers"]


def with_list(sandbox: Sandbox, *members: int, kind: str = "contacts", **more: str) -> int:
    return sandbox.hubspot.add_list("Customers", kind, *members, **more)


def crowd(number: int) -> list[Row]:
    """Contacts beside those of the list, so that reading all of them takes more calls."""
    return [contact(f"crowd.{n:03d}@mail.example", id=5000 + n) for n in range(number)]


def paths(sandbox: Sandbox) -> list[str]:
    return [f"{each.method} {each.path}" for each in sandbox.requests]


# One list


@pytest.mark.parametrize("others", [0, 200])
@pytest.mark.parametrize("name", ["Customers", " customers ", "1"])
def test_only_the_contacts_of_the_list(clock: FakeClock, others: int, name: str) -> None:
    people = [contact(JO), contact(AL), contact(BO), contact("x"), contact("y")]
    contacts = [*people, *crowd(others)]
    with make(contacts, [subscriber(AL)], clock) as sandbox:
        with_list(sandbox, 101, 104)
        outcome = run_first(clock, sandbox, "--list", name)
        assert statuses(sandbox) == {JO: "active", AL: "active"}
        again = run(clock, sandbox, HUBSPOT_LIST=name)
        quiet = run(clock, sandbox, "-q", HUBSPOT_LIST=name)
        read_all = paths(sandbox).count("GET /crm/v3/objects/contacts") > 0
    assert read_all is (others == 0)
    assert (outcome.code, again.report["outcome"]) == (0, "in_sync")
    assert emails(outcome.report["create"]) == [JO]
    assert outcome.report["update"] == []
    assert reasons(outcome) == {"x": "invalid e-mail address"}
    number = 3 + others
    words = f"In scope: 2 contacts in the list Customers. Out of scope: {number:,} contacts."
    assert f"{words}\n" in outcome.out
    assert outcome.report["summary"][1:] == again.report["summary"][1:] == [words]
    assert outcome.report["settings"]["HUBSPOT_LIST"] == name.strip()
    assert quiet.out == quiet.err == ""
    counts = outcome.report["counts"]
    assert (counts["contacts"], counts["not_meant"], counts["skipped"]) == (5 + others, number, 1)


@pytest.mark.parametrize("others", [0, 200])
def test_consent_comes_before_the_list(clock: FakeClock, others: int) -> None:
    contacts = [
        contact(JO, hs_email_optout="true"),
        contact(AL, hs_email_optout="true"),
        contact(BO, hs_email_optout="true"),
        *crowd(others),
    ]
    with make(contacts, [subscriber(AL), subscriber(BO)], clock) as sandbox:
        with_list(sandbox, 101, 102)
        outcome = run_first(clock, sandbox, *LIST)
        done = run(clock, sandbox, *LIST, "--unsubscribe-opted-out")
        assert statuses(sandbox) == {AL: "unsubscribed", BO: "unsubscribed"}
    still = "opted out in HubSpot, but still subscribed in MailerLite"
    assert reasons(outcome) == {JO: "opted out in HubSpot", AL: still, BO: still}
    assert done.code == 0


@pytest.mark.parametrize("others", [0, 200])
def test_who_changed_the_address_is_known_in_a_list_too(clock: FakeClock, others: int) -> None:
    with make([contact(JO), *crowd(others)], [], clock) as sandbox:
        with_list(sandbox, 101)
        assert run(clock, sandbox, *LIST).code == 0
        sandbox.hubspot.edit("contacts", 101, email=AL)
        sandbox.mailerlite.subscribers[JO]["status"] = "unsubscribed"
        outcome = run(clock, sandbox, *LIST)
        assert statuses(sandbox) == {JO: "unsubscribed"}
    assert reasons(outcome) == {AL: "unsubscribed in MailerLite under another address"}


@pytest.mark.parametrize("others", [0, 200])
def test_who_opts_out_is_shown_under_an_additional_address(clock: FakeClock, others: int) -> None:
    outside = contact(BO, hs_additional_emails=AL, hs_email_optout="true")
    with make([contact(JO), outside, *crowd(others)], [subscriber(AL)], clock) as sandbox:
        with_list(sandbox, 101)
        outcome = run_first(clock, sandbox, *LIST)
    assert reasons(outcome) == {AL: "opted out in HubSpot, but still subscribed in MailerLite"}


@pytest.mark.parametrize("others", [0, 200])
def test_a_leaver_is_known_in_a_list_too(clock: FakeClock, others: int) -> None:
    with make([contact(JO), contact(AL), *crowd(others)], [], clock) as sandbox:
        with_list(sandbox, 101, 102)
        assert run(clock, sandbox, *LIST).code == 0
        sandbox.hubspot.archive("contacts", 101)
        sandbox.hubspot.lists[1].members.discard(102)
        outcome = run(clock, sandbox, *LIST)
    assert emails(outcome.report["leavers"]) == [JO]


@pytest.mark.parametrize("others", [0, 200])
def test_another_spelling_of_a_members_address_may_object(clock: FakeClock, others: int) -> None:
    twin = contact("jo@xn--mnze-0ra.example", hs_email_optout="true")
    with make([contact("jo@münze.example"), twin, *crowd(others)], [], clock) as sandbox:
        with_list(sandbox, 101)
        outcome = run(clock, sandbox, *LIST)
        assert statuses(sandbox) == {}
    assert set(reasons(outcome).values()) >= {"opted out in HubSpot"}


def test_members_as_ids_and_in_pages(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubspot_client, "MEMBERS_PAGE_SIZE", 2)
    with make(crowd(7), [], clock) as sandbox:
        sandbox.hubspot.members_as_ids = True
        with_list(sandbox, *range(5000, 5005))
        assert run(clock, sandbox, *LIST).code == 0
        assert len(statuses(sandbox)) == 5


def test_a_missing_scope_is_named(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        with_list(sandbox, 101)
        sandbox.hubspot.scopes.remove("crm.lists.read")
        outcome = run(clock, sandbox, *LIST)
    assert outcome.code == 2
    assert "Add the scope crm.lists.read" in outcome.err


def test_hubspot_that_fails_is_no_wrong_setting(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        with_list(sandbox, 101)
        sandbox.faults = [Fault("status", path="/lists/", status=500)]
        outcome = run(clock, sandbox, *LIST)
        checked = run(clock, sandbox, "--check", *LIST)
    assert (outcome.code, checked.code) == (1, 1)
    assert "HubSpot, list Customers: it could not answer" in outcome.err
    assert checked.out.count("FIX  HubSpot, list Customers: it could not answer") == 1


def test_the_check_names_the_list(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        with_list(sandbox, 101)
        checked = run(clock, sandbox, "--check", *LIST)
    assert checked.code == 0
    assert "OK   Only contacts of HubSpot's list Customers (1) are in scope.\n" in checked.out


@pytest.mark.parametrize(("times", "code"), [(2, 0), (3, 1)])
def test_a_list_that_is_still_filled_is_read_again(clock: FakeClock, times: int, code: int) -> None:
    looks = 0

    def fill(request: Request) -> None:
        nonlocal looks
        if request.path == "/crm/v3/lists/1":
            looks += 1
            done = looks > times
            sandbox.hubspot.lists[1].processing_status = "COMPLETE" if done else "PROCESSING"

    with make([contact(JO)], [], clock) as sandbox:
        with_list(sandbox, 101)
        sandbox.on_request = fill
        outcome = run(clock, sandbox, *LIST)
        assert statuses(sandbox) == ({JO: "active"} if code == 0 else {})
    assert outcome.code == code
    assert "members of the list Customers: the list changed" in outcome.err
    assert "HubSpot is still filling it)" in outcome.err
    assert sum(each >= 10 for each in clock.slept) == 2


@pytest.mark.parametrize(("times", "code"), [(2, 0), (3, 1)])
def test_a_list_that_lacks_members_is_read_again(clock: FakeClock, times: int, code: int) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        with_list(sandbox, 101)
        more: dict[str, Any] = {"edit": lambda page: {**page, "total": 2}}
        sandbox.faults = [Fault("edit", path="/memberships$", times=times, **more)]
        assert run(clock, sandbox, *LIST).code == code
        assert statuses(sandbox) == ({JO: "active"} if code == 0 else {})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/lists/1$", {"list": {"name": "Customers"}}),
        ("/memberships$", {"results": [{}], "total": 1}),
        ("/memberships$", {"results": []}),
        ("/contacts/search$", {"results": []}),
    ],
)
def test_an_odd_answer_about_a_list_ends_the_run(clock: FakeClock, path: str, body: Row) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        with_list(sandbox, 101)
        sandbox.faults = [Fault("body", path=path, body=body)]
        outcome = run(clock, sandbox, "--list", "1")
        assert sandbox.writes == []
    assert outcome.code in (1, 2)
    assert "the answer cannot be used" in outcome.err


def test_subscribers_of_every_status_are_looked_for(clock: FakeClock) -> None:
    """So that many who have unsubscribed make it cheaper to read all contacts."""
    left = [subscriber(each["email"], status="unsubscribed") for each in crowd(150)]
    with make([contact(JO), *crowd(200)], left, clock) as sandbox:
        with_list(sandbox, 101)
        assert run_first(clock, sandbox, *LIST).code == 0
        assert "GET /crm/v3/objects/contacts" in paths(sandbox)


def test_any_contact_of_a_person_counts() -> None:
    scope = Scope("Customers", {1})
    one, other = Contact(1, {}), Contact(2, {})
    assert scope.out_of_scope([one, other]) is None
    assert scope.out_of_scope([other]) == "not in the list Customers"
    assert Scope().out_of_scope([other]) is None


# Conditions


PROPERTIES = {
    "contacts": {
        "lifecyclestage": {**definition("enumeration", options=["customer", "lead"])},
        "hs_marketable_status": definition("bool"),
        "orders": definition("number"),
        "last_order": definition("datetime"),
    }
}
FILTER = {
    "CONTACT_FILTER": "lifecyclestage=customer, hs_marketable_status=true, country!=, orders>=10,"
    " last_order<=2026-03-01"
}
FITTING = {
    "lifecyclestage": "customer",
    "hs_marketable_status": "true",
    "country": "de",
    "orders": "10",
    "last_order": "2026-03-01T23:59:59Z",
}


def test_only_the_contacts_that_conditions_hold_for(clock: FakeClock) -> None:
    contacts = [
        contact(JO, **FITTING),
        contact(AL, **{**FITTING, "lifecyclestage": "lead"}),
        contact(BO, **{**FITTING, "country": None}),
        contact("few@mail.example", **{**FITTING, "orders": "9"}),
        contact("late@mail.example", **{**FITTING, "last_order": "2026-03-02T00:00:00Z"}),
    ]
    with make(contacts, [], clock, {"properties": PROPERTIES}) as sandbox:
        outcome = run(clock, sandbox, **FILTER)
        assert statuses(sandbox) == {JO: "active"}
        with_list(sandbox, 102)
        assert run(clock, sandbox, *LIST, **FILTER).report["outcome"] == "in_sync"
    assert outcome.code == 0
    assert "In scope: 1 contact matching CONTACT_FILTER. Out of scope: 4 contacts.\n" in outcome.out
    assert outcome.report["skipped"] == []


def test_conditions_are_judged_again_before_a_write(clock: FakeClock) -> None:
    with make([contact(JO, **FITTING)], [], clock, {"properties": PROPERTIES}) as sandbox:
        edit = {"lifecyclestage": "lead"}
        before_looks(sandbox, lambda: sandbox.hubspot.edit("contacts", 101, **edit))
        outcome = run(clock, sandbox, **FILTER)
        assert statuses(sandbox) == {}
    assert reasons(outcome) == {JO: "its lifecyclestage is Lead, and only Customer matches"}


def test_an_answer_without_the_property_is_no_answer(clock: FakeClock) -> None:
    def without(page: Row) -> Row:
        for each in page["results"]:
            each["properties"].pop("lifecyclestage", None)
        return page

    with make([contact(JO, **FITTING)], [], clock, {"properties": PROPERTIES}) as sandbox:
        sandbox.faults = [Fault("edit", path="/objects/contacts$", edit=without)]
        outcome = run(clock, sandbox, **FILTER)
    assert outcome.code == 1
    assert "contacts: the answer cannot be used: lifecyclestage is missing" in outcome.err
